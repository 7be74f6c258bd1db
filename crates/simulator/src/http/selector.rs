//! Label and field selectors, as the API's query parameters spell them.

use super::labels::{self, Requirement};
use super::status::Status;
use crate::catalog::Resource;
use crate::object::Object;

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
        let labels = labels::parse(labels).map_err(Status::bad_request)?;
        let selector = Self { labels, fields: parse_fields(fields)? };
        for (path, ..) in &selector.fields {
            let known = path == "metadata.name"
                || path == "metadata.namespace" && (resource.namespaced || resource.fields.is_empty())
                || resource.fields.contains(&path.as_str());
            if !known {
                return Err(Status::bad_request(unknown_field(resource, path)));
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

/// What the server says of a field by which it does not select: it depends on whether the kind has any of its own.
fn unknown_field(resource: &Resource, path: &str) -> String {
    if resource.kind == "Job" {
        format!("field label \"{path}\" not supported for Job")
    } else if resource.fields.is_empty() && !resource.custom {
        format!("\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {path}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused() {
        let pods = &*crate::catalog::PODS;
        assert!(Selector::parse(pods, "", "spec.nodeName=a,metadata.namespace!=b").is_ok());
        assert_eq!(Selector::parse(pods, "", "spec.color=red").unwrap_err().code, 400);
    }
}
