//! The columns of the built-in kinds, after `pkg/printers/internalversion/printers.go` of Kubernetes 1.36.

use serde_json::Value;

use super::table::{Cell, Column, age_column, name_column, since};
use super::{platform, printed_pod};
use crate::catalog::{
    AUTOSCALERS, CONFIG_MAPS, CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, DISRUPTION_BUDGETS, EVENTS, INGRESS_CLASSES, JOBS,
    NAMESPACES, NODES, PODS, REPLICA_SETS, ResourceId, SECRETS, SERVICES, STATEFUL_SETS, STORAGE_CLASSES,
};
use crate::util::age;

type Print = fn(&Value, i64) -> Value;
pub type Columns = Vec<Column>;

fn column(name: &str, kind: &str, priority: i64, print: Print) -> Column {
    Column {
        name: name.into(),
        kind: kind.into(),
        format: String::new(),
        priority,
        description: String::new(),
        cell: Cell::Print(print),
    }
}

pub fn text(name: &str, print: Print) -> Column {
    column(name, "string", 0, print)
}

pub fn typed(name: &str, kind: &str, print: Print) -> Column {
    column(name, kind, 0, print)
}

pub fn wide(name: &str, print: Print) -> Column {
    column(name, "string", 1, print)
}

pub fn number(name: &str, print: Print) -> Column {
    column(name, "integer", 0, print)
}

pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

pub fn or_none(value: &Value) -> Value {
    if string(value).is_empty() { "<none>".into() } else { value.clone() }
}

pub fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn joined(values: &Value, name: &str) -> String {
    elements(values).map(|value| string(&value[name])).collect::<Vec<_>>().join(",")
}

/// `a=b,c=d`
fn pairs(labels: &Value) -> Value {
    let labels: Vec<_> =
        labels.as_object().into_iter().flatten().map(|(name, value)| format!("{name}={}", string(value))).collect();
    if labels.is_empty() { "<none>".into() } else { labels.join(",").into() }
}

fn age_of(time: &Value, now: i64, missing: &str) -> Value {
    if time.is_null() { missing.into() } else { since(string(time), now).into() }
}

/// The columns of what has a pod template, in wide output.
fn template_columns() -> [Column; 3] {
    [
        wide("Containers", |object, _| joined(&object["spec"]["template"]["spec"]["containers"], "name").into()),
        wide("Images", |object, _| joined(&object["spec"]["template"]["spec"]["containers"], "image").into()),
        wide("Selector", |object, _| pairs(&object["spec"]["selector"]["matchLabels"])),
    ]
}

/// The columns of a kind; name and creation time where it has no printer of its own.
pub fn columns(resource: ResourceId) -> Vec<Column> {
    let (middle, after): (Vec<Column>, Vec<Column>) = match resource {
        NAMESPACES => (vec![text("Status", |object, _| object["status"]["phase"].clone())], vec![]),
        NODES => node(),
        PODS => printed_pod::columns(text, wide),
        SERVICES => service(),
        EVENTS => return event(),
        CONFIG_MAPS => {
            (vec![text("Data", |object, _| (entries(&object["data"]) + entries(&object["binaryData"])).into())], vec![])
        }
        SECRETS => (
            vec![
                text("Type", |object, _| object["type"].clone()),
                text("Data", |object, _| entries(&object["data"]).into()),
            ],
            vec![],
        ),
        DEPLOYMENTS => (
            vec![
                text("Ready", |object, _| ready(object)),
                text("Up-to-date", |object, _| integer(&object["status"]["updatedReplicas"]).into()),
                text("Available", |object, _| integer(&object["status"]["availableReplicas"]).into()),
            ],
            template_columns().into(),
        ),
        REPLICA_SETS => (
            vec![
                number("Desired", |object, _| integer(&object["spec"]["replicas"]).into()),
                number("Current", |object, _| integer(&object["status"]["replicas"]).into()),
                number("Ready", |object, _| integer(&object["status"]["readyReplicas"]).into()),
            ],
            template_columns().into(),
        ),
        STATEFUL_SETS => {
            let [containers, images, _] = template_columns();
            (vec![text("Ready", |object, _| ready(object))], vec![containers, images])
        }
        DAEMON_SETS => daemon_set(),
        JOBS => job(),
        CRON_JOBS => cron_job(),
        DISRUPTION_BUDGETS => (
            vec![
                text("Min Available", |object, _| int_or_string(&object["spec"]["minAvailable"])),
                text("Max Unavailable", |object, _| int_or_string(&object["spec"]["maxUnavailable"])),
                number("Allowed Disruptions", |object, _| integer(&object["status"]["disruptionsAllowed"]).into()),
            ],
            vec![],
        ),
        AUTOSCALERS => autoscaler(),
        _ => match platform::columns(resource) {
            Some(columns) => columns,
            None => {
                let created = |object: &Value, _: i64| object["metadata"]["creationTimestamp"].clone();
                let mut column = text("Created At", created);
                column.kind = "date".into();
                return vec![name_column(), column];
            }
        },
    };
    let mut columns = vec![name_column()];
    if matches!(resource, STORAGE_CLASSES | INGRESS_CLASSES) {
        columns[0].cell = Cell::Print(name_of_class);
    }
    columns.extend(middle);
    columns.push(age_column());
    columns.extend(after);
    columns
}

/// The name of a class, and whether it is the one that is meant where none is named.
fn name_of_class(object: &Value, _: i64) -> Value {
    let annotations = &object["metadata"]["annotations"];
    let default = ["storageclass.kubernetes.io/is-default-class", "ingressclass.kubernetes.io/is-default-class"];
    let name = string(&object["metadata"]["name"]);
    if default.iter().any(|one| annotations[*one] == "true") { format!("{name} (default)").into() } else { name.into() }
}

/// A label selector as text.
pub fn selector(selector: &Value) -> Value {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut all: Vec<_> = equal.map(|(name, value)| format!("{name}={}", string(value))).collect();
    all.extend(elements(&selector["matchExpressions"]).map(|one| {
        let values = elements(&one["values"]).map(string).collect::<Vec<_>>().join(",");
        let key = string(&one["key"]);
        match string(&one["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        }
    }));
    if all.is_empty() { "<none>".into() } else { all.join(",").into() }
}

fn entries(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

fn ready(object: &Value) -> Value {
    format!("{}/{}", integer(&object["status"]["readyReplicas"]), integer(&object["spec"]["replicas"])).into()
}

fn int_or_string(value: &Value) -> Value {
    match value {
        Value::Null => "N/A".into(),
        Value::String(text) => text.clone().into(),
        other => other.to_string().into(),
    }
}

fn address(object: &Value, kind: &str) -> Value {
    let found = elements(&object["status"]["addresses"]).find(|address| address["type"] == kind);
    found.map_or_else(|| "<none>".into(), |address| address["address"].clone())
}

fn node() -> (Vec<Column>, Vec<Column>) {
    let status = |object: &Value, _: i64| {
        let ready = elements(&object["status"]["conditions"]).find(|condition| condition["type"] == "Ready");
        let mut status = match ready.map(|condition| string(&condition["status"])) {
            None => "Unknown".to_owned(),
            Some("True") => "Ready".to_owned(),
            Some(_) => "NotReady".to_owned(),
        };
        if object["spec"]["unschedulable"] == true {
            status.push_str(",SchedulingDisabled");
        }
        status.into()
    };
    let roles = |object: &Value, _: i64| {
        let labels = object["metadata"]["labels"].as_object();
        let role = |name: &String| name.strip_prefix("node-role.kubernetes.io/").map(str::to_owned);
        let roles: Vec<String> = labels.into_iter().flatten().filter_map(|(name, _)| role(name)).collect();
        if roles.is_empty() { "<none>".into() } else { roles.join(",").into() }
    };
    let kernel = |object: &Value, _: i64| {
        let info = &object["status"]["nodeInfo"];
        format!("{} ({})", string(&info["kernelVersion"]), string(&info["architecture"])).into()
    };
    (
        vec![text("Status", status), text("Roles", roles)],
        vec![
            text("Version", |object, _| object["status"]["nodeInfo"]["kubeletVersion"].clone()),
            wide("Internal-IP", |object, _| address(object, "InternalIP")),
            wide("External-IP", |object, _| address(object, "ExternalIP")),
            wide("OS-Image", |object, _| object["status"]["nodeInfo"]["osImage"].clone()),
            wide("Kernel-Version", kernel),
            wide("Container-Runtime", |object, _| object["status"]["nodeInfo"]["containerRuntimeVersion"].clone()),
        ],
    )
}

fn service() -> (Vec<Column>, Vec<Column>) {
    let external = |object: &Value, _: i64| {
        if object["spec"]["type"] != "LoadBalancer" {
            return "<none>".into();
        }
        let ingress = &object["status"]["loadBalancer"]["ingress"];
        let address = |one: &Value| string(if one["ip"].is_null() { &one["hostname"] } else { &one["ip"] }).to_owned();
        let addresses: Vec<_> = elements(ingress).map(address).collect();
        if addresses.is_empty() { "<pending>".into() } else { addresses.join(",").into() }
    };
    let ports = |object: &Value, _: i64| {
        let ports = elements(&object["spec"]["ports"]).map(|port| match integer(&port["nodePort"]) {
            0 => format!("{}/{}", integer(&port["port"]), string(&port["protocol"])),
            node => format!("{}:{node}/{}", integer(&port["port"]), string(&port["protocol"])),
        });
        ports.collect::<Vec<_>>().join(",").into()
    };
    (
        vec![
            text("Type", |object, _| object["spec"]["type"].clone()),
            text("Cluster-IP", |object, _| object["spec"]["clusterIP"].clone()),
            text("External-IP", external),
            text("Port(s)", ports),
        ],
        vec![wide("Selector", |object, _| pairs(&object["spec"]["selector"]))],
    )
}

fn event() -> Vec<Column> {
    let object = |event: &Value, _: i64| {
        let involved = &event["involvedObject"];
        format!("{}/{}", string(&involved["kind"]).to_lowercase(), string(&involved["name"])).into()
    };
    let source = |event: &Value, _: i64| match string(&event["source"]["host"]) {
        "" => event["source"]["component"].clone(),
        host => format!("{}, {host}", string(&event["source"]["component"])).into(),
    };
    let mut name = wide("Name", |event, _| event["metadata"]["name"].clone());
    name.format = "name".into();
    vec![
        text("Last Seen", |event, now| age_of(&event["lastTimestamp"], now, "<unknown>")),
        text("Type", |event, _| event["type"].clone()),
        text("Reason", |event, _| event["reason"].clone()),
        text("Object", object),
        wide("Subobject", |event, _| string(&event["involvedObject"]["fieldPath"]).into()),
        wide("Source", source),
        text("Message", |event, _| string(&event["message"]).trim().into()),
        wide("First Seen", |event, now| age_of(&event["firstTimestamp"], now, "<unknown>")),
        wide("Count", |event, _| integer(&event["count"]).max(1).into()),
        name,
    ]
}

fn daemon_set() -> (Vec<Column>, Vec<Column>) {
    (
        vec![
            number("Desired", |object, _| integer(&object["status"]["desiredNumberScheduled"]).into()),
            number("Current", |object, _| integer(&object["status"]["currentNumberScheduled"]).into()),
            number("Ready", |object, _| integer(&object["status"]["numberReady"]).into()),
            number("Up-to-date", |object, _| integer(&object["status"]["updatedNumberScheduled"]).into()),
            number("Available", |object, _| integer(&object["status"]["numberAvailable"]).into()),
            text("Node Selector", |object, _| pairs(&object["spec"]["template"]["spec"]["nodeSelector"])),
        ],
        template_columns().into(),
    )
}

fn job() -> (Vec<Column>, Vec<Column>) {
    let status = |object: &Value, _: i64| {
        let has = |kind: &str| {
            let conditions = &object["status"]["conditions"];
            elements(conditions).any(|condition| condition["type"] == kind && condition["status"] == "True")
        };
        let known = ["Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"];
        known.into_iter().find(|kind| has(kind)).unwrap_or("Running").into()
    };
    let duration = |object: &Value, now: i64| {
        let seconds = |name: &str| string(&object["status"][name]).parse().ok().map(jiff::Timestamp::as_second);
        match (seconds("startTime"), seconds("completionTime")) {
            (None, _) => "".into(),
            (Some(start), end) => age::human(end.unwrap_or(now) - start).into(),
        }
    };
    let completions = |object: &Value, _: i64| {
        format!("{}/{}", integer(&object["status"]["succeeded"]), integer(&object["spec"]["completions"])).into()
    };
    (
        vec![text("Status", status), text("Completions", completions), text("Duration", duration)],
        template_columns().into(),
    )
}

fn cron_job() -> (Vec<Column>, Vec<Column>) {
    fn containers(object: &Value) -> &Value {
        &object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    }
    let suspend = |object: &Value, _: i64| match &object["spec"]["suspend"] {
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        _ => "<unset>".into(),
    };
    (
        vec![
            text("Schedule", |object, _| object["spec"]["schedule"].clone()),
            text("Timezone", |object, _| or_none(&object["spec"]["timeZone"])),
            typed("Suspend", "boolean", suspend),
            number("Active", |object, _| elements(&object["status"]["active"]).count().into()),
            text("Last Schedule", |object, now| age_of(&object["status"]["lastScheduleTime"], now, "<none>")),
        ],
        vec![
            wide("Containers", |object, _| joined(containers(object), "name").into()),
            wide("Images", |object, _| joined(containers(object), "image").into()),
            wide("Selector", |_, _| "<none>".into()),
        ],
    )
}

fn autoscaler() -> (Vec<Column>, Vec<Column>) {
    let reference = |object: &Value, _: i64| {
        let target = &object["spec"]["scaleTargetRef"];
        format!("{}/{}", string(&target["kind"]), string(&target["name"])).into()
    };
    // The simulated cluster has autoscalers by resource only.
    let targets = |object: &Value, _: i64| {
        let current = &object["status"]["currentMetrics"];
        let target = elements(&object["spec"]["metrics"]).enumerate().map(|(at, metric)| {
            let usage = &current[at]["resource"]["current"]["averageUtilization"];
            let usage = usage.as_i64().map_or_else(|| "<unknown>".to_owned(), |usage| format!("{usage}%"));
            let resource = &metric["resource"];
            format!("{}: {usage}/{}%", string(&resource["name"]), integer(&resource["target"]["averageUtilization"]))
        });
        target.collect::<Vec<_>>().join(", ").into()
    };
    (
        vec![
            text("Reference", reference),
            text("Targets", targets),
            text("MinPods", |object, _| object["spec"]["minReplicas"].to_string().into()),
            text("MaxPods", |object, _| integer(&object["spec"]["maxReplicas"]).into()),
            text("Replicas", |object, _| integer(&object["status"]["currentReplicas"]).into()),
        ],
        vec![],
    )
}
