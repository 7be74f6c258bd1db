//! Label and field selectors, as the API's query parameters spell them.

use std::collections::BTreeMap;

use super::status::Status;
use crate::sim::catalog::Resource;
use crate::sim::object::Object;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    /// Also fulfilled where there is no such label.
    NotIn(String, Vec<String>),
}

/// What a list or watch selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Requirement>,
    /// Path, whether it must be equal, and the value.
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    /// Reads both parameters; what the resource does not support is an error in the server's words.
    pub fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Status> {
        let selector = Self { labels: parse_labels(labels)?, fields: parse_fields(fields)? };
        for (path, ..) in &selector.fields {
            let known = path == "metadata.name"
                || path == "metadata.namespace" && resource.namespaced
                || resource.fields.contains(&path.as_str());
            if !known {
                return Err(Status::bad_request(format!(
                    "Unable to find \"{}, Resource={}\" that match label selector \"{labels}\", field selector \
                     \"{fields}\": field label not supported: {path}",
                    if resource.group.is_empty() { format!("/{}", resource.version) } else { resource.api_version() },
                    resource.plural
                )));
            }
        }
        Ok(selector)
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Object) -> bool {
        self.fields.iter().all(|(path, equal, value)| (object.field(path) == value.as_str()) == *equal)
            && (self.labels.is_empty() || {
                let labels = object.labels();
                self.labels.iter().all(|requirement| requirement.holds(&labels))
            })
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Exists(name) => labels.contains_key(name),
            Self::Missing(name) => !labels.contains_key(name),
            Self::In(name, values) => labels.get(name).is_some_and(|value| values.contains(value)),
            Self::NotIn(name, values) => labels.get(name).is_none_or(|value| !values.contains(value)),
        }
    }
}

fn parse_fields(text: &str) -> Result<Vec<(String, bool, String)>, Status> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, true, value.strip_prefix('=').unwrap_or(value))
            } else {
                return Err(Status::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            Ok((path.to_owned(), equal, value.to_owned()))
        })
        .collect()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Status> {
    let mut requirements = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        // Commas inside parentheses belong to the values.
        let open = rest.find('(').filter(|&open| rest.find(',').is_none_or(|comma| open < comma));
        let end = match open {
            Some(open) => rest[open..].find(')').map_or(rest.len(), |close| open + close + 1),
            None => rest.find(',').unwrap_or(rest.len()),
        };
        requirements.push(requirement(rest[..end].trim()).ok_or_else(|| {
            Status::bad_request(format!("unable to parse requirement: found '{}', expected: identifier", &rest[..end]))
        })?);
        rest = rest[end..].trim_start().trim_start_matches(',').trim_start();
    }
    Ok(requirements)
}

fn requirement(text: &str) -> Option<Requirement> {
    let set = |list: &str| -> Option<Vec<String>> {
        let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(list.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let name = |name: &str| {
        let name = name.trim();
        let valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        (valid && !name.is_empty()).then(|| name.to_owned())
    };
    if let Some((label, list)) = text.split_once(" notin ") {
        return Some(Requirement::NotIn(name(label)?, set(list)?));
    }
    if let Some((label, list)) = text.split_once(" in ") {
        return Some(Requirement::In(name(label)?, set(list)?));
    }
    if let Some((label, value)) = text.split_once("!=") {
        return Some(Requirement::NotIn(name(label)?, vec![value.trim().to_owned()]));
    }
    if let Some((label, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Some(Requirement::In(name(label)?, vec![value.trim().to_owned()]));
    }
    if let Some(label) = text.strip_prefix('!') {
        return Some(Requirement::Missing(name(label)?));
    }
    Some(Requirement::Exists(name(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse_labels(selector).unwrap().iter().all(|requirement| requirement.holds(&labels))
    }

    #[test]
    fn label_selectors_mean_what_kubernetes_means() {
        let labels = [("app", "api"), ("tier", "web")];
        for selector in ["app=api", "app==api,tier", "app in (x, api),tier!=db", "!gone", "gone!=x", "gone notin (a,b)"]
        {
            assert!(holds(selector, &labels), "{selector}");
        }
        for selector in ["app=web", "gone", "!app", "app notin (api)", "gone in (a)", "app!=api"] {
            assert!(!holds(selector, &labels), "{selector}");
        }
        assert!(parse_labels("a=(").is_ok());
        assert_eq!(parse_labels("in (a)").unwrap_err().code, 400);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let pods = &*crate::sim::catalog::PODS;
        assert!(Selector::parse(pods, "", "spec.nodeName=a,metadata.namespace!=b").is_ok());
        assert_eq!(Selector::parse(pods, "", "spec.color=red").unwrap_err().code, 400);
    }
}
