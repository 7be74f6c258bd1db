//! Query parameters of a request.

use super::status::Status;

/// The parameters, decoded.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// The value of a parameter; empty where it is not given.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter that may come again.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }

    /// A parameter that is a number, if it is given.
    pub fn signed(&self, name: &str) -> Result<Option<i64>, Status> {
        let value = self.get(name);
        if value.is_empty() {
            return Ok(None);
        }
        value.parse().map(Some).map_err(|_| Status::not_a_number(value))
    }

    /// A parameter that is a number; what is below zero is none.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Status> {
        Ok(self.signed(name)?.map(|number| u64::try_from(number).unwrap_or(0)))
    }

    /// The resource version, if one is given; `Err` with what is wrong with it.
    pub fn version(&self) -> Result<Option<u64>, String> {
        let value = self.get("resourceVersion");
        if value.is_empty() {
            return Ok(None);
        }
        let wrong = format!(
            "resourceVersion: Invalid value: \"{value}\": strconv.ParseUint: parsing \"{value}\": invalid syntax"
        );
        value.parse().map(Some).map_err(|_| wrong)
    }
}

/// Decodes `%20` and `+`.
pub fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'?'), bytes.next().unwrap_or(b'?')];
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                out.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
