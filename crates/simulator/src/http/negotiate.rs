//! Which encoding and which shape of the objects a client accepts, as far as the server has it.

use super::status::Status;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Protobuf,
    Yaml,
}

/// What of an object is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Whole,
    /// As rows that the server prints.
    Table,
    /// Its metadata alone.
    Metadata,
}

pub const JSON: &str = "application/json";
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
pub const YAML: &str = "application/yaml";

impl Format {
    pub fn content_type(self, watch: bool) -> &'static str {
        match (self, watch) {
            (Self::Json, _) | (Self::Yaml, true) => JSON,
            (Self::Yaml, false) => YAML,
            (Self::Protobuf, false) => PROTOBUF,
            (Self::Protobuf, true) => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }
}

/// The first of the accepted media types that can be served. `protobuf` says whether the kind has that encoding,
/// `streams` whether the answer may be a watch.
pub fn negotiate(accept: &str, protobuf: bool, streams: bool) -> Result<(Format, Shape), Status> {
    if accept.trim().is_empty() {
        return Ok((Format::Json, Shape::Whole));
    }
    let mut known = false;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let format = match parts.next().unwrap_or_default() {
            JSON | "*/*" | "application/*" => Format::Json,
            PROTOBUF => Format::Protobuf,
            YAML => Format::Yaml,
            _ => continue,
        };
        known = true;
        let (mut shape, mut version) = (Some(Shape::Whole), None);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match (name, value) {
                ("as", "Table") => shape = Some(Shape::Table),
                ("as", "PartialObjectMetadata" | "PartialObjectMetadataList") => shape = Some(Shape::Metadata),
                ("as", _) => shape = None,
                ("v", value) => version = Some(value),
                _ => {}
            }
        }
        let Some(shape) = shape else { continue };
        let served = match (format, shape) {
            (_, Shape::Whole) => version.is_none() && (format != Format::Protobuf || protobuf),
            (Format::Protobuf, Shape::Table) => false,
            (_, Shape::Table | Shape::Metadata) => version.is_none_or(|version| version == "v1"),
        };
        if served {
            return Ok((format, shape));
        }
    }
    if known {
        return Err(Status::not_acceptable(&[JSON, YAML, PROTOBUF]));
    }
    let served: &[&str] = if protobuf { &[JSON, YAML, PROTOBUF] } else { &[JSON, YAML] };
    let streamed = [JSON, PROTOBUF].into_iter().filter(|one| streams && served.contains(one));
    let streamed: Vec<_> = streamed.map(|one| format!("{one};stream=watch")).collect();
    Err(Status::no_representation(
        &served.iter().copied().chain(streamed.iter().map(String::as_str)).collect::<Vec<_>>(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_can_be_served_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, protobuf, expected) in [
            ("", true, Some((Format::Json, Shape::Whole))),
            ("*/*", true, Some((Format::Json, Shape::Whole))),
            (kubectl, true, Some((Format::Json, Shape::Table))),
            (
                "application/vnd.kubernetes.protobuf;stream=watch, application/json",
                true,
                Some((Format::Protobuf, Shape::Whole)),
            ),
            ("application/vnd.kubernetes.protobuf,application/json", false, Some((Format::Json, Shape::Whole))),
            ("application/vnd.kubernetes.protobuf", false, None),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", true, None),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
                false,
                Some((Format::Protobuf, Shape::Metadata)),
            ),
            ("text/html", true, None),
        ] {
            assert_eq!(negotiate(accept, protobuf, true).ok(), expected, "{accept}");
        }
    }
}
