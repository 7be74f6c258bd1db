//! Two servers asked the same: the calls of `calls.http`, and what of two answers differs that may not.

pub mod budgets;
pub mod kubectl;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use ekscope::util::age;
use regex::Regex;
use serde_json::Value;

use crate::rig::{Reply, Rig};

/// A call waits so long for what its answer is to say.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Default)]
pub struct Call {
    pub name: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    /// Names with the places of their values in the answer.
    takes: Vec<(String, String)>,
    /// What the answer must say before it is compared.
    until: Vec<(String, Value)>,
    /// Only these parts are compared.
    only: Vec<String>,
    allowed: Vec<Allowed>,
}

/// A difference that may be, and why.
struct Allowed {
    path: String,
    pattern: Regex,
}

pub struct Script {
    pub calls: Vec<Call>,
    /// Holds for all calls.
    allowed: Vec<Allowed>,
}

impl Allowed {
    /// `PATH  REASON`
    fn parse(line: &str) -> Self {
        let (path, reason) = line.split_once("  ").unwrap_or_else(|| panic!("no reason is given: {line}"));
        assert!(!reason.trim().is_empty(), "no reason is given: {line}");
        let pattern = regex::escape(path).replace(r"\*\*", ".*").replace(r"\*", "[^/]*");
        Self { path: path.to_owned(), pattern: Regex::new(&format!("^{pattern}(/.*)?$")).expect("a pattern") }
    }
}

impl Script {
    pub fn parse(text: &str) -> Self {
        let mut script = Self { calls: Vec::new(), allowed: Vec::new() };
        let mut in_body = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("### ") {
                script.calls.push(Call { name: name.to_owned(), ..Call::default() });
                in_body = false;
                continue;
            }
            let pair = |line: &str| {
                let (name, value) = line.split_once(" = ").unwrap_or_else(|| panic!("`=` is missing: {line}"));
                (name.to_owned(), value.to_owned())
            };
            let mark = line.split_once(' ').filter(|(mark, _)| mark.len() == 1);
            let Some(call) = script.calls.last_mut() else {
                if let Some(("!", rest)) = mark {
                    script.allowed.push(Allowed::parse(rest));
                }
                continue;
            };
            match mark {
                Some(("!", rest)) => call.allowed.push(Allowed::parse(rest)),
                Some((">", rest)) => call.takes.push(pair(rest)),
                Some(("~", rest)) => call.only.push(rest.to_owned()),
                Some(("?", rest)) => {
                    let (path, wanted) = pair(rest);
                    let wanted = if wanted == "-" { Value::Null } else { wanted.parse().expect("JSON") };
                    call.until.push((path, wanted));
                }
                _ if in_body => call.body = format!("{}{line}\n", call.body),
                _ if call.method.is_empty() => {
                    let (method, path) = line.split_once(' ').expect("a method and a path");
                    (call.method, call.path) = (method.to_owned(), path.to_owned());
                }
                _ if line.is_empty() => in_body = true,
                _ => {
                    let (name, value) = line.split_once(": ").expect("a header");
                    call.headers.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        script
    }
}

/// A server with what was taken from its answers.
pub struct Server<'a> {
    pub rig: &'a Rig,
    taken: HashMap<String, String>,
}

/// What is compared of an answer.
struct Said {
    head: Vec<(&'static str, String)>,
    body: Value,
}

impl<'a> Server<'a> {
    pub fn new(rig: &'a Rig) -> Self {
        Self { rig, taken: HashMap::new() }
    }

    fn fill(&self, text: &str) -> String {
        self.taken.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    fn ask(&mut self, call: &Call) -> Said {
        let (path, body) = (self.fill(&call.path), self.fill(call.body.trim()));
        let mut headers = call.headers.clone();
        headers.push(("User-Agent".to_owned(), "compare/1".to_owned()));
        if !headers.iter().any(|(name, _)| name == "Accept") {
            headers.push(("Accept".to_owned(), "application/json".to_owned()));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.rig.send(&call.method, &path, &headers, &body);
            let read = read(&reply);
            let there = call.until.iter().all(|(path, wanted)| {
                let found = read.pointer(path).unwrap_or(&Value::Null);
                found == wanted || wanted.is_null() && *found == 0
            });
            if !there && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(100));
                continue;
            }
            for (name, path) in &call.takes {
                let value = read.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
                self.taken.insert(name.clone(), value);
            }
            let head = vec![
                ("code", reply.code.to_string()),
                ("content type", reply.header("content-type")),
                ("warning", reply.header("warning")),
                ("retry after", reply.header("retry-after")),
                ("what was waited for", there.to_string()),
            ];
            return Said { head, body: read };
        }
    }
}

fn read(reply: &Reply) -> Value {
    if let Ok(value) = serde_json::from_str(&reply.body) {
        return value;
    }
    // A real server tells its version now and then, and before a watch ends: when, is its own affair.
    let news = |line: &&str| !line.contains(r#""type":"BOOKMARK""#) || line.contains("k8s.io/initial-events-end");
    let frames: Result<Vec<Value>, _> = reply.body.lines().filter(news).map(serde_json::from_str).collect();
    match frames {
        Ok(frames) if !frames.is_empty() => frames.into(),
        Ok(_) if !reply.body.is_empty() => Value::Array(Vec::new()),
        _ if reply.header("content-type") == "application/yaml" => {
            serde_saphyr::from_str(&reply.body).expect("YAML as its type says")
        }
        _ => reply.body.clone().into(),
    }
}

/// Takes out of texts what no two servers have in common.
pub struct Plain(Vec<(Regex, &'static str)>);

impl Plain {
    pub fn new() -> Self {
        // Letters and digits of generated names.
        const RANDOM: &str = "[bcdfghjklmnpqrstvwxz2456789]";
        let patterns = [
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z".to_owned(), "TIME"),
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}".to_owned(), "UID"),
            (r"\bip-[0-9-]+\.[a-z0-9-]+\.compute\.internal\b".to_owned(), "NODE"),
            (r"\b\d{1,3}(\.\d{1,3}){3}\b".to_owned(), "ADDRESS"),
            (format!(r"-{RANDOM}{{6,10}}-{RANDOM}{{5}}\b"), "-HASH-RANDOM"),
            (format!(r"-{RANDOM}{{6,10}}\b"), "-HASH"),
            (format!(r"\b{RANDOM}{{8,10}}\b"), "HASH"),
            (format!(r"\b(some|agent|once)-{RANDOM}{{5}}\b"), "$1-RANDOM"),
            ("\"(demo|admin)\"".to_owned(), "\"USER\""),
            (r#"\\"resourceVersion\\":\\"\d+\\""#.to_owned(), "VERSION"),
            (r"(current: |\()\d{2,}\b".to_owned(), "${1}VERSION"),
        ];
        Self(patterns.into_iter().map(|(pattern, by)| (Regex::new(&pattern).expect("a pattern"), by)).collect())
    }

    pub fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (pattern, by)| pattern.replace_all(&text, *by).into_owned())
    }

    /// Every leaf of a value with its path.
    fn leaves(&self, value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    self.leaves(value, &format!("{path}/{}", self.text(name).replace('/', "~1")), out);
                }
            }
            Value::Array(elements) if !elements.is_empty() => {
                for (at, value) in elements.iter().enumerate() {
                    self.leaves(value, &format!("{path}/{at}"), out);
                }
            }
            Value::String(text) => {
                let version = path.ends_with("/resourceVersion") || path.ends_with("/continue");
                let user = path.ends_with("/username") && matches!(text.as_str(), "demo" | "admin");
                let plain = match text.as_str() {
                    "" | "0" => text.clone(),
                    _ if path.contains("/cells/") && age::parse(text).is_some() => "AGE".to_owned(),
                    _ if version => "VERSION".to_owned(),
                    _ if user => "USER".to_owned(),
                    text => self.text(text),
                };
                out.insert(path.to_owned(), plain.into());
            }
            other => {
                out.insert(path.to_owned(), other.clone());
            }
        }
    }
}

/// Of the lists of `one` whose elements have names, those that `other` has, in its order. With `strict`, what only the
/// other has is told.
fn subset(one: &Value, other: &Value, strict: bool) -> Value {
    let name = |value: &Value| {
        let found = ["name", "resource", "subresource", "version"].iter().find_map(|field| value[*field].as_str());
        found.or(value["metadata"]["name"].as_str()).unwrap_or_default().to_owned()
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let below = |name: &str| other.get(name).unwrap_or(&Value::Null);
            one.iter().map(|(name, value)| (name.clone(), subset(value, below(name), strict))).collect()
        }
        (Value::Array(all), Value::Array(other)) if all.first().is_some_and(Value::is_object) => {
            let same = |wanted: &Value| all.iter().find(|one| name(one) == name(wanted));
            let missing = |wanted: &Value| strict.then(|| Value::from(format!("there is no {}", name(wanted))));
            let kept =
                |wanted: &Value| same(wanted).map_or_else(|| missing(wanted), |one| Some(subset(one, wanted, strict)));
            other.iter().filter_map(kept).collect()
        }
        (one, _) => one.clone(),
    }
}

/// Makes a call to both; what differs and may not is told, and so is what may differ and does not.
pub fn compare(script: &Script, call: &Call, plain: &Plain, servers: &mut [Server; 2]) -> String {
    let [real, simulated] = servers;
    let (real, simulated) = (real.ask(call), simulated.ask(call));
    let mut told = String::new();
    if call.only.iter().any(|part| part == "nothing") {
        return told;
    }
    for ((name, real), (_, own)) in real.head.iter().zip(&simulated.head) {
        if real != own {
            let _ = writeln!(told, "  {name}: {real:?}, simulated {own:?}");
        }
    }
    if call.only.iter().any(|part| part == "code") {
        return told;
    }
    let asked = |mode: &str| call.only.iter().any(|part| part == mode);
    let parts: Vec<_> = call.only.iter().filter(|part| part.starts_with('/')).collect();
    let bodies = if asked("subset") {
        [subset(&real.body, &simulated.body, true), simulated.body]
    } else if asked("both") {
        let real = subset(&real.body, &simulated.body, false);
        let own = subset(&simulated.body, &real, false);
        [real, own]
    } else {
        [real.body, simulated.body]
    };
    let leaves = bodies.map(|body| {
        let mut leaves = BTreeMap::new();
        plain.leaves(&body, "", &mut leaves);
        leaves
    });
    let paths: BTreeSet<_> = leaves.iter().flat_map(BTreeMap::keys).collect();
    let mut used = BTreeSet::new();
    for path in paths {
        let [real, own] = [0, 1].map(|at| leaves[at].get(path).map_or_else(|| "nothing".to_owned(), Value::to_string));
        if real == own || !parts.is_empty() && !parts.iter().any(|part| path.starts_with(*part)) {
            continue;
        }
        let allowed = call.allowed.iter().chain(&script.allowed).find(|allowed| allowed.pattern.is_match(path));
        match allowed {
            Some(allowed) => {
                used.insert(&allowed.path);
            }
            None => {
                let _ = writeln!(told, "  {path}: {real}, simulated {own}");
            }
        }
    }
    for allowed in call.allowed.iter().filter(|allowed| !used.contains(&allowed.path)) {
        let _ = writeln!(told, "  {} does not differ: take it off the list", allowed.path);
    }
    told
}
