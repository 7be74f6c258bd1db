//! Takes secrets and control characters out of text that other programs wrote, before a person sees it.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

/// What stands in the place of a secret.
pub const MASK: &str = "‹hidden›";

/// Things that look like a credential: a name and its value, or a well-known form.
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)(?P<name>[\w-]*(?:token|secret|password|passwd|authorization|api[_-]?key)[\w-]*["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?)[^\s"',;&]{6,}"#,
        r"|k8s-aws-v1\.[\w-]+|eyJ[\w-]{6,}\.[\w.-]+|\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
        r"|[A-Za-z0-9+=_-]{32,}",
    ))
    .ok()
});

/// The text without control characters (an escape sequence would act on the screen), without the given secrets, and
/// with everything masked that looks like one.
pub fn redact(text: &str, secrets: &[&str]) -> String {
    let mut text: String = text.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret, MASK);
    }
    mask(&text).into_owned()
}

/// The text with everything masked that looks like a secret.
pub fn mask(text: &str) -> Cow<'_, str> {
    let Some(pattern) = SECRETS.as_ref() else { return MASK.into() };
    let mask = |found: &Captures<'_>| match found.name("name") {
        Some(name) => format!("{}{MASK}", name.as_str()),
        None if found[0].len() >= 32 && !looks_random(&found[0]) => found[0].to_owned(),
        None => MASK.to_owned(),
    };
    pattern.replace_all(text, mask)
}

/// Long words are names as often as keys; keys mix digits and both cases.
fn looks_random(word: &str) -> bool {
    let has = |test: fn(&char) -> bool| word.chars().any(|c| test(&c));
    has(char::is_ascii_digit) && has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        for (text, clean) in [
            ("token: abcdef123", "token: ‹hidden›"),
            ("Authorization: Bearer abcdef123", "Authorization: Bearer ‹hidden›"),
            ("--oidc-client-secret=hunter22 --x", "--oidc-client-secret=‹hidden› --x"),
            ("got k8s-aws-v1.aHR0cHM6Ly9z", "got ‹hidden›"),
            ("key AKIAIOSFODNN7EXAMPLE used", "key ‹hidden› used"),
            ("jwt eyJhbGciOi.eyJzdWIi.c2ln end", "jwt ‹hidden› end"),
            ("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYx1", "‹hidden›"),
            ("named s3cr3t here", "named ‹hidden› here"),
        ] {
            assert_eq!(redact(text, &["s3cr3t"]), clean);
        }
    }

    #[test]
    fn ordinary_text_stays() {
        for text in [
            "Error when retrieving token from sso: Token has expired and refresh failed",
            "arn:aws:eks:eu-west-1:123456789012:cluster/Payments-Prod",
            "/usr/lib/python3/dist-packages/awscli/customizations/eks/get_token.py",
            "a-very-long-node-group-name-without-any-capital-letters-1",
        ] {
            assert_eq!(redact(text, &[]), text);
        }
    }

    #[test]
    fn escape_sequences_do_not_pass() {
        assert_eq!(redact("a\u{1b}[31mb\r\u{7}\nc", &[]), "a[31mb\nc");
    }
}
