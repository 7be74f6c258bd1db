//! Names, labels and keys: what they may consist of, after `k8s.io/apimachinery/pkg/util/validation`.

use serde_json::Value;

use super::field::Wrong;
use crate::catalog::{CRON_JOBS, NAMESPACES, ResourceId, SERVICES};

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                          and end with an alphanumeric character";
const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                              and must start and end with an alphanumeric character";

fn explained(text: &str, examples: &[&str], pattern: &str) -> String {
    let examples: Vec<_> = examples.iter().map(|one| format!("'{one}', ")).collect();
    format!("{text} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

fn longer(text: &str, most: usize) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} characters"))
}

/// One part of a domain name.
fn is_label(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

/// Words of labels and keys: letters, digits and `-_.`, with a letter or a digit at both ends.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// What is wrong with a name that is one part of a domain name.
pub fn label(text: &str) -> Vec<String> {
    let shape = (!is_label(text)).then(|| explained(LABEL_TEXT, &["my-name", "123-abc"], LABEL));
    longer(text, 63).into_iter().chain(shape).collect()
}

/// What is wrong with a domain name.
pub fn subdomain(text: &str) -> Vec<String> {
    let shape = (!text.split('.').all(is_label)).then(|| explained(SUBDOMAIN_TEXT, &["example.com"], SUBDOMAIN));
    longer(text, 253).into_iter().chain(shape).collect()
}

/// What is wrong with the key of a label or an annotation.
pub fn qualified(text: &str) -> Vec<String> {
    const WORD: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
    const TEXT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                        alphanumeric character";
    let examples = ["MyName", "my.name", "123-abc"];
    let mut wrong = Vec::new();
    let name = match text.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                wrong.extend(subdomain(prefix).iter().map(|text| format!("prefix part {text}")));
            }
            name
        }
        _ => {
            let text = format!("a valid label key {TEXT}");
            let with = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("{}{with}", explained(&text, &examples, WORD))];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if let Some(longer) = longer(name, 63) {
        wrong.push(format!("name part {longer}"));
    }
    if !is_word(name) {
        wrong.push(explained(&format!("name part {TEXT}"), &examples, WORD));
    }
    wrong
}

/// What is wrong with the value of a label.
pub fn label_value(text: &str) -> Vec<String> {
    let shape = (!text.is_empty() && !is_word(text)).then(|| {
        explained(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character",
            &["MyValue", "my_value", "12345"],
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
        )
    });
    longer(text, 63).into_iter().chain(shape).collect()
}

/// What is wrong with the keys of a config map or a secret.
pub fn keys(value: &Value, field: &str) -> Vec<Wrong> {
    let keys = value[field].as_object().into_iter().flatten();
    keys.flat_map(|(key, _)| {
        let valid = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let shape = (!valid).then(|| {
            explained(
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                &["key.name", "KEY_NAME", "key-name"],
                "[-._a-zA-Z0-9]+",
            )
        });
        let dots = match key.as_str() {
            "." => Some("must not be '.'".to_owned()),
            ".." => Some("must not be '..'".to_owned()),
            _ => None,
        };
        let wrong = longer(key, 253).into_iter().chain(shape).chain(dots);
        wrong.map(|text| Wrong::invalid(&format!("{field}[{key}]"), &key.as_str().into(), &text)).collect::<Vec<_>>()
    })
    .collect()
}

/// What is wrong with the labels below `path`.
pub fn labels(labels: &Value, path: &str) -> Vec<Wrong> {
    let labels = labels.as_object().into_iter().flatten();
    labels
        .flat_map(|(key, value)| {
            let of_value = label_value(value.as_str().unwrap_or_default());
            let keys = qualified(key).into_iter().map(|text| Wrong::invalid(path, &key.as_str().into(), &text));
            keys.chain(of_value.into_iter().map(|text| Wrong::invalid(path, value, &text))).collect::<Vec<_>>()
        })
        .collect()
}

pub fn annotations(annotations: &Value, path: &str) -> Vec<Wrong> {
    let keys = annotations.as_object().into_iter().flatten();
    // Unlike those of labels, their case does not count.
    keys.flat_map(|(key, _)| {
        let wrong = qualified(&key.to_lowercase());
        wrong.into_iter().map(|text| Wrong::invalid(path, &key.as_str().into(), &text)).collect::<Vec<_>>()
    })
    .collect()
}

fn name(of: ResourceId, text: &str) -> Vec<String> {
    if of.group == "rbac.authorization.k8s.io" {
        // They name what they grant, with any characters that a path may have.
        return match text {
            "." | ".." => vec![format!("may not be '{text}'")],
            _ => {
                ['/', '%'].iter().filter(|&&no| text.contains(no)).map(|no| format!("may not contain '{no}'")).collect()
            }
        };
    }
    match of {
        NAMESPACES | SERVICES => label(text),
        CRON_JOBS => {
            // Names of their jobs are 11 longer.
            let long = (text.len() > 52).then(|| "must be no more than 52 characters".to_owned());
            subdomain(text).into_iter().chain(long).collect()
        }
        _ => subdomain(text),
    }
}

/// What is wrong with the metadata of an object.
pub fn metadata(resource: ResourceId, value: &Value) -> Vec<Wrong> {
    let metadata = &value["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    let mut wrong = Vec::new();
    // A name that ends in a dash may have something added.
    let generated = text("generateName").trim_end_matches('-');
    if !text("generateName").is_empty() {
        let texts = name(resource, if generated.is_empty() { "-" } else { generated });
        wrong.extend(texts.iter().map(|why| Wrong::invalid("metadata.generateName", &metadata["generateName"], why)));
    }
    if text("name").is_empty() {
        wrong.push(Wrong::required("metadata.name", "name or generateName is required"));
    } else {
        let texts = name(resource, text("name"));
        wrong.extend(texts.iter().map(|why| Wrong::invalid("metadata.name", &metadata["name"], why)));
    }
    wrong.extend(labels(&metadata["labels"], "metadata.labels"));
    wrong.extend(annotations(&metadata["annotations"], "metadata.annotations"));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        for good in ["a", "a-1", "1.b", &"x".repeat(63)] {
            assert_eq!(subdomain(good), Vec::<String>::new(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a..b", "a_b", &"x".repeat(254)] {
            assert!(!subdomain(bad).is_empty(), "{bad}");
        }
        assert_eq!(label(&"x".repeat(64)), ["must be no more than 63 characters"]);
        for (key, wrong) in [("app", 0), ("example.com/App_1", 0), ("a b", 1), ("/a", 1), ("a/b/c", 1), ("A.com/x", 1)]
        {
            assert_eq!(qualified(key).len(), wrong, "{key}");
        }
    }
}
