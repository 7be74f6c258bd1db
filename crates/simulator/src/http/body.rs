//! Bodies of requests: from bytes to objects of the kind that the path names.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::negotiate::{JSON, PROTOBUF, YAML};
use super::status::Status;
use crate::admission::field::Wrong;
use crate::admission::options::Unknown;
use crate::admission::shape;
use crate::catalog::{ALL, ResourceId};
use crate::encoding::{read, wire};

/// No client of a demo sends more.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Of a body that cannot be read, an error shows so much.
const SHOWN: usize = 30;

pub async fn bytes(body: Incoming) -> Result<Bytes, Status> {
    let whole = Limited::new(body, BODY_LIMIT).collect().await;
    whole.map(http_body_util::Collected::to_bytes).map_err(|error| Status::bad_request(error.to_string()))
}

/// What a body says, whatever it is.
pub fn value(bytes: &[u8], content_type: &str) -> Result<Value, Status> {
    decode(bytes, content_type)?
        .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
}

/// The same; `None` where there is no body.
pub fn optional(bytes: &[u8], content_type: &str) -> Result<Option<Value>, Status> {
    if bytes.is_empty() { Ok(None) } else { value(bytes, content_type).map(Some) }
}

/// The outer error is about the media type, the inner one about the text.
fn decode(bytes: &[u8], content_type: &str) -> Result<Result<Value, String>, Status> {
    if bytes.starts_with(wire::MAGIC) {
        return read::object(bytes).map(Ok).ok_or_else(Status::unsupported_body);
    }
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" | JSON | PROTOBUF => Ok(json(bytes)),
        YAML => Ok(yaml(bytes)),
        _ => Err(Status::unsupported_body()),
    }
}

/// JSON; what is none is told as Go tells it.
pub fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
        match line.get(error.column().saturating_sub(1)) {
            Some(byte) if !error.is_eof() => {
                format!("invalid character '{}' looking for beginning of value", char::from(*byte))
            }
            _ => "unexpected end of JSON input".to_owned(),
        }
    })
}

pub fn yaml(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(text).map_err(|error| format!("error converting YAML to JSON: {error}"))
}

/// An object of `resource`, with the warnings that it deserves: fields that its kind does not have are taken away.
pub fn object(
    resource: ResourceId,
    bytes: &[u8],
    content_type: &str,
    unknown: Unknown,
) -> Result<(Value, Vec<String>), Status> {
    let kind = resource.kind;
    let unrecognized = |why: &str| {
        let message =
            format!("the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; {why}");
        Status::bad_request(format!("{message} ({})", shown(bytes)))
    };
    let mut value =
        decode(bytes, content_type)?.map_err(|error| unrecognized(&format!("json parse error: {error}")))?;
    if !value.is_object() {
        return Err(unrecognized(&not_an_object(&value)));
    }
    type_meta(resource, &value)?;
    let cannot = |why: &str| {
        let version = resource.version;
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    let warnings = fit(resource, &mut value, unknown).map_err(|why| cannot(&why))?;
    Ok((value, warnings))
}

/// Gives `value` the shape of its kind; returns warnings.
pub fn fit(resource: ResourceId, value: &mut Value, unknown: Unknown) -> Result<Vec<String>, String> {
    let Some(message) = resource.encoding().message else { return Ok(Vec::new()) };
    let fields = shape::fit(message, value)?;
    let warnings: Vec<_> = fields.iter().map(|field| format!("unknown field \"{field}\"")).collect();
    match unknown {
        Unknown::Refuse if !warnings.is_empty() => Err(format!("strict decoding error: {}", warnings.join(", "))),
        Unknown::Ignore => Ok(Vec::new()),
        _ => Ok(warnings),
    }
}

fn not_an_object(value: &Value) -> String {
    let given = match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    format!(
        "json parse error: json: cannot unmarshal {given} into Go value of type struct {{ APIVersion string \
         \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )
}

/// Kind and version, where the body has them, are those of the path.
fn type_meta(resource: ResourceId, value: &Value) -> Result<(), Status> {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let own =
        (kind.is_empty() || kind == resource.kind) && (api_version.is_empty() || api_version == resource.api_version());
    if own {
        return Ok(());
    }
    let kind = if kind.is_empty() { resource.kind } else { kind };
    if resource.custom && kind != resource.kind {
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        let wrong = Wrong::invalid("kind", &kind.into(), &format!("must be {}", resource.kind));
        return Err(Status::wrong(resource.group, kind, name, &[wrong]));
    }
    let asked = if api_version.is_empty() { resource.api_version() } else { api_version.to_owned() };
    let known = ALL.iter().find(|one| one.kind == kind && one.api_version() == asked);
    let why = match known {
        Some(other) => {
            let package = |group: &str| match group.split('.').next() {
                None | Some("") => "core".to_owned(),
                Some(group) => group.to_owned(),
            };
            let into = format!("({}.{})", package(resource.group), resource.kind);
            format!("converting ({}.{kind}) to {into}: unknown conversion", other.version)
        }
        None => {
            format!("no kind \"{kind}\" is registered for version \"{asked}\" in scheme \"pkg/runtime/scheme.go:111\"")
        }
    };
    let version = asked.rsplit('/').next().unwrap_or_default();
    Err(Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {}: {why}", resource.kind)))
}

/// The beginning of a body, for an error.
fn shown(bytes: &[u8]) -> String {
    let (start, more) = match bytes.get(..SHOWN) {
        Some(start) if bytes.len() > SHOWN => (start, " ..."),
        _ => (bytes, ""),
    };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => {
            let mut hex = String::new();
            for byte in start {
                let _ = write!(hex, "{byte:02x}");
            }
            format!("{hex}{more}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CONFIG_MAPS;

    #[test]
    fn what_is_no_object_of_the_kind_is_refused_in_the_servers_words() {
        for (body, expected) in [
            (
                "",
                "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
            ),
            ("[1]", "(5b315d)"),
            (
                "{\"kind\":\"Secret\",\"apiVersion\":\"v1\"}",
                "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
            ),
            (
                "{\"apiVersion\":\"v2\"}",
                "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"v2\" in scheme \"pkg/runtime/scheme.go:111\"",
            ),
            (
                "{\"dada\":1}",
                "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"dada\"",
            ),
        ] {
            let status = object(CONFIG_MAPS, body.as_bytes(), JSON, Unknown::Refuse).unwrap_err();
            let message = status.value()["message"].as_str().unwrap().to_owned();
            assert!(message.ends_with(expected), "{body}: {message}");
        }
        let (read, warnings) = object(CONFIG_MAPS, b"data: {a: b}\nx: 1\n", YAML, Unknown::Warn).unwrap();
        assert_eq!((read["data"]["a"].as_str(), warnings), (Some("b"), vec!["unknown field \"x\"".to_owned()]));
    }
}
