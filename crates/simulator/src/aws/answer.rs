//! Answers of AWS in the protocol of each service: REST JSON for EKS, XML for the query services and, another one, for EC2,
//! JSON 1.1 for SSM and Pricing. Shapes of errors are those of the services' API References.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::{Call, Service};
use crate::http::answer::Answer;

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    /// What else EKS says: which cluster, which group.
    more: Value,
}

impl Failure {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), more: Value::Null }
    }

    /// Values that the service does not take.
    pub fn invalid(service: Service, message: impl Into<String>) -> Self {
        let code = match service {
            Service::Eks => "InvalidParameterException",
            Service::Ec2 => "InvalidParameterValue",
            Service::Ssm => "ValidationException",
            Service::Pricing => "InvalidParameterException",
            Service::AutoScaling | Service::Sts => "ValidationError",
        };
        Self::new(400, code, message)
    }

    pub fn bad_token() -> Self {
        Self::new(400, "InvalidNextToken", "The token is not valid.")
    }

    pub fn unknown_operation(call: &Call) -> Self {
        let operation = &call.operation;
        match call.service {
            Service::AutoScaling | Service::Sts | Service::Ec2 => {
                Self::new(400, "InvalidAction", format!("Could not find operation {operation}"))
            }
            _ => Self::new(404, "UnknownOperationException", format!("Unknown operation {operation}")),
        }
    }

    /// Too many calls, in the words of each service.
    pub fn throttled(service: Service) -> Self {
        match service {
            Service::Eks => Self::new(429, "ThrottlingException", "Rate exceeded"),
            Service::Ec2 => Self::new(503, "RequestLimitExceeded", "Request limit exceeded."),
            Service::AutoScaling | Service::Sts => Self::new(400, "Throttling", "Rate exceeded"),
            Service::Ssm | Service::Pricing => Self::new(400, "ThrottlingException", "Rate exceeded"),
        }
    }

    /// No right to do this, in the words of each service.
    pub fn denied(call: &Call, who: &str) -> Self {
        let action = format!("{}:{}", call.service.name(), call.operation);
        let message = format!(
            "User: {who} is not authorized to perform: {action} on resource: * because no identity-based policy allows \
             the {action} action"
        );
        match call.service {
            Service::Ec2 => Self::new(
                403,
                "UnauthorizedOperation",
                format!("You are not authorized to perform this operation. {message}"),
            ),
            Service::AutoScaling | Service::Sts => Self::new(403, "AccessDenied", message),
            Service::Eks => Self::new(403, "AccessDeniedException", message),
            Service::Ssm | Service::Pricing => Self::new(400, "AccessDeniedException", message),
        }
    }

    pub fn internal(service: Service) -> Self {
        let code = match service {
            Service::Eks => "ServerException",
            Service::Ec2 => "InternalError",
            Service::AutoScaling | Service::Sts => "InternalFailure",
            Service::Ssm | Service::Pricing => "InternalServerError",
        };
        Self::new(500, code, "An internal error has occurred")
    }

    /// By another name.
    #[must_use]
    pub fn called(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// With what EKS says besides.
    #[must_use]
    pub fn about(mut self, more: Value) -> Self {
        self.more = more;
        self
    }
}

/// Where the XML of a service comes from.
fn namespace(service: Service) -> &'static str {
    match service {
        Service::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
        Service::AutoScaling => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        _ => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

/// What a call brought.
pub fn success(call: &Call, result: &Value, request_id: &str) -> Answer {
    let (operation, namespace) = (&call.operation, namespace(call.service));
    match call.service {
        Service::Eks | Service::Ssm | Service::Pricing => json_answer(call.service, 200, result, request_id),
        Service::Ec2 => {
            let (head, inner) = (format!("<{operation}Response xmlns=\"{namespace}\">"), elements(result, "item"));
            let id = format!("<requestId>{request_id}</requestId>");
            xml_answer(200, &format!("{head}{id}{inner}</{operation}Response>"), request_id)
        }
        Service::AutoScaling | Service::Sts => {
            let head = format!("<{operation}Response xmlns=\"{namespace}\">");
            let inner = match result {
                Value::Null => String::new(),
                result => format!("<{operation}Result>{}</{operation}Result>", elements(result, "member")),
            };
            let meta = format!("<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>");
            xml_answer(200, &format!("{head}{inner}{meta}</{operation}Response>"), request_id)
        }
    }
}

pub fn failure(service: Service, failure: &Failure, request_id: &str) -> Answer {
    let Failure { status, code, message, more } = failure;
    match service {
        Service::Eks => {
            let mut body = json!({ "message": message });
            if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
                body.extend(more.clone());
            }
            let mut answer = json_answer(service, *status, &body, request_id);
            answer.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
            answer
        }
        Service::Ssm | Service::Pricing => {
            json_answer(service, *status, &json!({ "__type": code, "message": message }), request_id)
        }
        Service::Ec2 => {
            let inner = elements(&json!({ "Error": { "Code": code, "Message": message } }), "item");
            let text = format!("<Response><Errors>{inner}</Errors><RequestID>{request_id}</RequestID></Response>");
            xml_answer(*status, &text, request_id)
        }
        Service::AutoScaling | Service::Sts => {
            let kind = if *status < 500 { "Sender" } else { "Receiver" };
            let inner = elements(&json!({ "Error": { "Type": kind, "Code": code, "Message": message } }), "member");
            let head = format!("<ErrorResponse xmlns=\"{}\">", namespace(service));
            let text = format!("{head}{inner}<RequestId>{request_id}</RequestId></ErrorResponse>");
            xml_answer(*status, &text, request_id)
        }
    }
}

fn json_answer(service: Service, status: u16, value: &Value, request_id: &str) -> Answer {
    let kind = if service == Service::Eks { "application/json" } else { "application/x-amz-json-1.1" };
    respond(status, kind, value.to_string(), "x-amzn-requestid", request_id)
}

fn xml_answer(status: u16, text: &str, request_id: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
    respond(status, "text/xml;charset=UTF-8", text, "x-amzn-requestid", request_id)
}

fn respond(status: u16, kind: &'static str, text: String, id_header: &'static str, request_id: &str) -> Answer {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = request_id.parse() {
        headers.insert(id_header, id);
    }
    answer
}

/// The elements of a value; a list's entries are called `entry`. What is null is left out.
fn elements(value: &Value, entry: &str) -> String {
    let mut out = String::new();
    xml(value, entry, &mut out);
    out
}

fn xml(value: &Value, entry: &str, out: &mut String) {
    let mut element = |name: &str, value: &Value| {
        out.extend(["<", name, ">"]);
        xml(value, entry, out);
        out.extend(["</", name, ">"]);
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                element(name, value);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|value| element(entry, value)),
        Value::String(text) => escape(text, out),
        Value::Null => {}
        other => out.push_str(&other.to_string()),
    }
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_elements() {
        let value = json!({ "Groups": [{ "Name": "a<b" }], "Empty": [], "None": null, "Size": 3, "On": true });
        let text = elements(&value, "member");
        for part in ["<Groups><member><Name>a&lt;b</Name></member></Groups>", "<Empty></Empty>", "<Size>3</Size>"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("None"));
    }
}
