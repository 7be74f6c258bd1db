//! What of an object may stand in a recording. Decides by the shape of an object, never by its kind, so that a kind
//! that nobody thought of is treated no worse.
//!
//! Hidden without a look: whatever stands under `data`, `stringData` and `binaryData`, values of environments,
//! headers and parameters, commands and arguments, and annotations, but for the few that are read here. Hidden by name:
//! texts under keys that name a credential. Hidden by look, in every other text: tokens, keys, certificates,
//! passwords in addresses. Account numbers are replaced by others, the same by the same, so that what belongs together
//! still does.

use std::{collections::HashMap, sync::LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use regex::Regex;
use serde_json::{Map, Value};

use crate::util::redact::{MASK, mask};

/// Annotations whose values are kept, by how their names begin.
const ANNOTATIONS: [&str; 9] = [
    "k8s.io/initial-events-end",
    "deployment.kubernetes.io/",
    "cluster-autoscaler.kubernetes.io/",
    "karpenter.sh/",
    "eks.amazonaws.com/",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/restartedAt",
    "storageclass.kubernetes.io/is-default-class",
    "controller.kubernetes.io/pod-deletion-cost",
];

/// Keys of amounts: a number of twelve digits under them is one, and no account.
const AMOUNTS: [&str; 6] = ["cpu", "memory", "storage", "ephemeral-storage", "sizeLimit", "averageValue"];

/// Keys that name a credential, in small letters without `-` and `_`.
const CREDENTIALS: [&str; 15] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "clientkey",
    "credential",
    "authorization",
    "connectionstring",
    "certificate",
    "cabundle",
];

/// How keys end that only say where a credential is, or what sort.
const REFERENCES: [&str; 12] =
    ["name", "namespace", "ref", "type", "path", "class", "mode", "policy", "kind", "version", "time", "timestamp"];

/// Whole blocks of PEM, ended or not, and the password of an address.
static BLOCKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|\z)|(?P<address>://)[^/\s@]+@").ok()
});

/// Numbers that stand for others, in the order in which they were met.
#[derive(Debug, Default)]
struct Aliases(HashMap<String, String>);

impl Aliases {
    fn of(&mut self, name: &str, alias: impl FnOnce(usize) -> String) -> &str {
        let next = self.0.len() + 1;
        self.0.entry(name.to_owned()).or_insert_with(|| alias(next))
    }
}

/// Redacts everything of one recording: the same account is the same number throughout.
#[derive(Debug, Default)]
pub struct Redactor {
    accounts: Aliases,
    /// Continue tokens name an object, in Base64.
    pages: Aliases,
}

impl Redactor {
    /// A path with its query.
    pub fn path(&mut self, path: &str) -> String {
        let Some((path, query)) = path.split_once('?') else { return self.account(path) };
        let parts: Vec<String> = query
            .split('&')
            .map(|part| match part.split_once('=') {
                Some(("continue", token)) if !token.is_empty() => format!("continue={}", self.page(&unescape(token))),
                _ => self.account(&mask(part)),
            })
            .collect();
        format!("{}?{}", self.account(path), parts.join("&"))
    }

    /// Any text.
    pub fn text(&mut self, text: &str) -> String {
        if text.len() < 6 {
            return text.to_owned();
        }
        if is_base64(text) {
            return MASK.to_owned();
        }
        let plain = match BLOCKS.as_ref() {
            Some(blocks) => blocks.replace_all(text, |found: &regex::Captures<'_>| match found.name("address") {
                Some(_) => format!("://{MASK}@"),
                None => MASK.to_owned(),
            }),
            None => MASK.into(),
        };
        self.account(&mask(&plain))
    }

    /// An object, a list, a table, an event of a watch: whatever JSON a server sends or gets.
    pub fn object(&mut self, value: &mut Value) {
        self.value("", value);
    }

    fn value(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => self.fields(key, fields),
            value if matches!(key, "command" | "args") => hide(value),
            // Those of a selector.
            Value::Array(elements) if key == "values" => {
                elements.iter_mut().for_each(|element| self.value("", element));
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.value(key, element)),
            Value::String(text) => {
                let redacted = match key {
                    // Tokens of pages look like those of people.
                    "continue" if !text.is_empty() => self.page(text),
                    "uid" | "resourceVersion" => return,
                    "name" | "generateName" | "namespace" if is_name(text) => self.account(text),
                    // Free text of whoever wrote it.
                    "values" | "userData" | "script" | "config" => MASK.to_owned(),
                    _ if is_amount(key, text) => return,
                    _ if names_credential(key) && !text.is_empty() => MASK.to_owned(),
                    _ => self.text(text),
                };
                *text = redacted;
            }
            Value::Number(number) if key.to_lowercase().contains("account") => {
                *value = self.account(&number.to_string()).parse::<u64>().unwrap_or_default().into();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn fields(&mut self, key: &str, fields: &mut Map<String, Value>) {
        fields.remove("managedFields");
        let named = fields.get("name").is_some_and(Value::is_string);
        let redacted = std::mem::take(fields).into_iter().map(|(name, mut value)| {
            match (key, name.as_str()) {
                ("annotations", name) => self.annotation(name, &mut value),
                ("data" | "stringData" | "binaryData", _) if !value.is_object() => hide_data(&mut value),
                (_, "value") if named => hide(&mut value),
                ("env" | "environment", _) if !named && !value.is_object() => hide(&mut value),
                (_, name) => self.value(name, &mut value),
            }
            (self.account(&name), value)
        });
        *fields = redacted.collect();
    }

    fn annotation(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::String(text) if ANNOTATIONS.iter().any(|known| name.starts_with(known)) => *text = self.text(text),
            // An object here is no annotation, but the schema of one.
            Value::Object(fields) => self.fields("", fields),
            value => hide(value),
        }
    }

    /// The text with every account number replaced: twelve digits that are not part of a longer number, nor of a word
    /// that is a number to the base 16 (where they are not known for an account).
    fn account(&mut self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        let mut rest = 0;
        let mut at = 0;
        while at < bytes.len() {
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let end = at + digits;
            if digits == 12 && (self.accounts.0.contains_key(&text[at..end]) || !is_hexadecimal_around(bytes, at..end))
            {
                out.push_str(&text[rest..at]);
                out.push_str(self.accounts.of(&text[at..end], |next| format!("{next:012}")));
                rest = end;
            }
            at = end.max(at + 1);
        }
        out.push_str(&text[rest..]);
        out
    }

    fn page(&mut self, token: &str) -> String {
        self.pages.of(token, |next| format!("page-{next}")).to_owned()
    }
}

/// Whether the digits are in the midst of a number to the base 16, such as a digest.
fn is_hexadecimal_around(bytes: &[u8], digits: std::ops::Range<usize>) -> bool {
    let before = bytes[..digits.start].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric());
    let after = bytes[digits.end..].iter().take_while(|byte| byte.is_ascii_alphanumeric());
    let mut around = before.chain(after).peekable();
    around.peek().is_some() && around.all(u8::is_ascii_hexdigit)
}

/// Whether a text is Base64 of more than a word: names have no capitals, sentences have spaces.
fn is_base64(text: &str) -> bool {
    let plain = text.trim_end_matches('=');
    let has = |test: fn(&u8) -> bool| plain.bytes().any(|byte| test(&byte));
    plain.len() >= 24
        && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
}

/// Whether a text is the name of something: no sentence, no address, no assignment.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'/' | b'_'))
}

/// Whether this is so much of something.
fn is_amount(key: &str, text: &str) -> bool {
    AMOUNTS.contains(&key)
        && text.len() < 24
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.').len() <= 3
}

fn names_credential(key: &str) -> bool {
    let key: String = key.chars().filter(|&letter| letter != '-' && letter != '_').collect::<String>().to_lowercase();
    key == "auth"
        || CREDENTIALS.iter().any(|word| key.contains(word)) && !REFERENCES.iter().any(|end| key.ends_with(end))
}

/// Hides every text below, whatever its shape.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(hide),
        Value::Array(elements) => elements.iter_mut().for_each(hide),
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => MASK.clone_into(text),
        Value::Number(_) => *value = MASK.into(),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The same for what has to stay Base64 where it was.
fn hide_data(value: &mut Value) {
    let encoded = value.as_str().is_some_and(|text| BASE64_STANDARD.decode(text).is_ok());
    hide(value);
    if encoded && value.as_str().is_some_and(|text| !text.is_empty()) {
        *value = BASE64_STANDARD.encode("hidden").into();
    }
}

/// Undoes percent-encoding.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
