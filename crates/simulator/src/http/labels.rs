//! Label selectors as the API's query parameters spell them, after `k8s.io/apimachinery/pkg/labels`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use crate::admission::field::Wrong;
use crate::admission::names;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    /// Also fulfilled where there is no such label.
    NotIn(String, Vec<String>),
    /// The label's value is a whole number above this.
    Above(String, i64),
    Below(String, i64),
}

impl Requirement {
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let number = |name: &str| labels.get(name).and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists(name) => labels.contains_key(name),
            Self::Missing(name) => !labels.contains_key(name),
            Self::In(name, values) => labels.get(name).is_some_and(|value| values.contains(value)),
            Self::NotIn(name, values) => labels.get(name).is_none_or(|value| !values.contains(value)),
            Self::Above(name, than) => number(name).is_some_and(|value| value > *than),
            Self::Below(name, than) => number(name).is_some_and(|value| value < *than),
        }
    }
}

/// All requirements of a selector, or what is wrong with it in the server's words.
pub fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser(tokens(text).into_iter().peekable());
    let mut requirements = Vec::new();
    loop {
        let next = parser.look();
        if next.is_empty() {
            return Ok(requirements);
        }
        if next != "!" && is_symbol(&next) {
            return Err(format!("found '{next}', expected: !, identifier, or 'end of string'"));
        }
        requirements.push(parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
        match parser.take().as_str() {
            "" => return Ok(requirements),
            "," => {
                let next = parser.look();
                if next.is_empty() || next != "!" && is_symbol(&next) {
                    return Err(format!("found '{next}', expected: identifier after ','"));
                }
            }
            other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
        }
    }
}

fn is_symbol(token: &str) -> bool {
    token.starts_with(['=', '!', '(', ')', ',', '>', '<'])
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            ' ' | '\t' | '\r' | '\n' => {
                rest = &rest[1..];
                continue;
            }
            '=' | '!' if rest[1..].starts_with('=') => 2,
            '=' | '!' | '(' | ')' | ',' | '>' | '<' => 1,
            _ => rest.find([' ', '\t', '\r', '\n', '=', '!', '(', ')', ',', '>', '<']).unwrap_or(rest.len()),
        };
        tokens.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    tokens
}

struct Parser(Peekable<IntoIter<String>>);

impl Parser {
    /// The next token; empty at the end.
    fn look(&mut self) -> String {
        self.0.peek().cloned().unwrap_or_default()
    }

    fn take(&mut self) -> String {
        self.0.next().unwrap_or_default()
    }

    fn word(&mut self) -> Result<String, String> {
        let token = self.take();
        if token.is_empty() || is_symbol(&token) {
            Err(format!("found '{token}', expected: identifier"))
        } else {
            Ok(token)
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let missing = self.look() == "!";
        if missing {
            self.take();
        }
        let key = self.word()?;
        if let Some(why) = names::qualified(&key).first() {
            return Err(Wrong::all(&[Wrong::invalid("key", &key.as_str().into(), why)]));
        }
        if matches!(self.look().as_str(), "" | ",") {
            return Ok(if missing { Requirement::Missing(key) } else { Requirement::Exists(key) });
        }
        let made = match self.take().as_str() {
            "in" => Requirement::In(key, self.values()?),
            "notin" => Requirement::NotIn(key, self.values()?),
            "=" | "==" => Requirement::In(key, vec![self.value()?]),
            "!=" => Requirement::NotIn(key, vec![self.value()?]),
            sign @ (">" | "<") => {
                let (above, value) = (sign == ">", self.value()?);
                let than = value.parse().map_err(|_| {
                    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                    Wrong::all(&[Wrong::invalid("values[0]", &value.as_str().into(), why)])
                })?;
                if above { Requirement::Above(key, than) } else { Requirement::Below(key, than) }
            }
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        if let Requirement::In(key, values) | Requirement::NotIn(key, values) = &made {
            let wrong = values.iter().enumerate().find_map(|(at, value)| {
                let why = names::label_value(value).into_iter().next()?;
                Some(Wrong::invalid(&format!("values[{at}][{key}]"), &value.as_str().into(), &why))
            });
            if let Some(wrong) = wrong {
                return Err(Wrong::all(&[wrong]));
            }
        }
        Ok(made)
    }

    fn value(&mut self) -> Result<String, String> {
        if matches!(self.look().as_str(), "" | ",") { Ok(String::new()) } else { self.word() }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.take();
        if open != "(" {
            return Err(format!("found '{open}' expected: '('"));
        }
        let mut values = Vec::new();
        loop {
            match self.take().as_str() {
                ")" => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                "," => {
                    if values.is_empty() || matches!(self.look().as_str(), "," | ")") {
                        values.push(String::new());
                    }
                }
                word if !word.is_empty() && !is_symbol(word) => {
                    values.push(word.to_owned());
                    if !matches!(self.look().as_str(), "," | ")") {
                        return Err(format!("found '{}', expected: ',' or ')'", self.take()));
                    }
                }
                other => return Err(format!("found '{other}', expected: ',', ')' or identifier")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse(selector).unwrap().iter().all(|requirement| requirement.holds(&labels))
    }

    #[test]
    fn label_selectors_mean_what_kubernetes_means() {
        let labels = [("app", "api"), ("tier", "web"), ("in", "3")];
        for selector in [
            "app=api",
            "app==api,tier",
            "app in (x, api),tier!=db",
            "!gone",
            "gone!=x",
            "gone notin (a,b)",
            "in>2,in<4",
            "",
            " app = api , tier ",
            "app in (,api)",
        ] {
            assert!(holds(selector, &labels), "{selector}");
        }
        for selector in ["app=web", "gone", "!app", "app notin (api)", "gone in (a)", "app!=api", "app=", "in>3"] {
            assert!(!holds(selector, &labels), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_in_the_servers_words() {
        for (selector, expected) in [
            ("a=(", "unable to parse requirement: found '(', expected: identifier"),
            ("in (a)", "unable to parse requirement: found '(', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ] {
            assert_eq!(parse(selector).unwrap_err(), expected, "{selector}");
        }
    }
}
