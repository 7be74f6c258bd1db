//! The columns of storage, access, network and the like, after `printers.go` of Kubernetes 1.36.

use serde_json::Value;

use super::printers::{Columns, elements, number, or_none, selector, string, text, typed, wide};
use crate::catalog::{
    ACCOUNTS, API_SERVICES, CLAIMS, CLUSTER_ROLE_BINDINGS, CSI_DRIVERS, ENDPOINT_SLICES, INGRESS_CLASSES, INGRESSES,
    LEASES, MUTATING_WEBHOOKS, NETWORK_POLICIES, PRIORITY_CLASSES, QUOTAS, REVISIONS, ROLE_BINDINGS, ResourceId,
    STORAGE_CLASSES, VALIDATING_WEBHOOKS, VOLUMES,
};

/// The columns before and after the age; `None` where a kind has no printer of its own.
pub fn columns(resource: ResourceId) -> Option<(Columns, Columns)> {
    Some(match resource {
        VOLUMES => volume(),
        CLAIMS => claim(),
        ACCOUNTS => (vec![], vec![]),
        QUOTAS => (
            vec![text("Request", |object, _| quota(object, false)), text("Limit", |object, _| quota(object, true))],
            vec![],
        ),
        REVISIONS => (
            vec![
                text("Controller", controller),
                text("Revision", |object, _| object["revision"].as_i64().unwrap_or(0).into()),
            ],
            vec![],
        ),
        INGRESSES => ingress(),
        INGRESS_CLASSES => (
            vec![text("Controller", |object, _| object["spec"]["controller"].clone()), text("Parameters", parameters)],
            vec![],
        ),
        NETWORK_POLICIES => (vec![text("Pod-Selector", |object, _| selector(&object["spec"]["podSelector"]))], vec![]),
        STORAGE_CLASSES => storage_class(),
        CSI_DRIVERS => csi_driver(),
        ROLE_BINDINGS | CLUSTER_ROLE_BINDINGS => binding(),
        LEASES => {
            let holder = |object: &Value, _: i64| string(&object["spec"]["holderIdentity"]).into();
            (vec![text("Holder", holder)], vec![])
        }
        ENDPOINT_SLICES => (
            vec![
                text("AddressType", |object, _| object["addressType"].clone()),
                text("Ports", |object, _| listed(elements(&object["ports"]).map(port))),
                text("Endpoints", |object, _| {
                    listed(elements(&object["endpoints"]).flat_map(|one| elements(&one["addresses"])).map(address))
                }),
            ],
            vec![],
        ),
        PRIORITY_CLASSES => (
            vec![
                number("Value", |object, _| object["value"].as_i64().unwrap_or(0).into()),
                typed("Global-Default", "boolean", |object, _| (object["globalDefault"] == true).into()),
            ],
            vec![text("PreemptionPolicy", |object, _| string(&object["preemptionPolicy"]).into())],
        ),
        MUTATING_WEBHOOKS | VALIDATING_WEBHOOKS => {
            (vec![number("Webhooks", |object, _| elements(&object["webhooks"]).count().into())], vec![])
        }
        API_SERVICES => (vec![text("Service", service), text("Available", available)], vec![]),
        _ => return None,
    })
}

fn modes(modes: &Value) -> String {
    let short = |mode: &Value| match string(mode) {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    elements(modes).map(short).collect::<Vec<_>>().join(",")
}

fn phase(object: &Value) -> Value {
    let deleted = object["metadata"]["deletionTimestamp"].is_string();
    if deleted { "Terminating".into() } else { string(&object["status"]["phase"]).into() }
}

fn or_unset(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { "<unset>".into() }
}

fn volume() -> (Columns, Columns) {
    let claim = |object: &Value, _: i64| {
        let claim = &object["spec"]["claimRef"];
        if claim.is_null() {
            "".into()
        } else {
            format!("{}/{}", string(&claim["namespace"]), string(&claim["name"])).into()
        }
    };
    (
        vec![
            text("Capacity", |object, _| object["spec"]["capacity"]["storage"].as_str().unwrap_or("0").into()),
            text("Access Modes", |object, _| modes(&object["spec"]["accessModes"]).into()),
            text("Reclaim Policy", |object, _| string(&object["spec"]["persistentVolumeReclaimPolicy"]).into()),
            text("Status", |object, _| phase(object)),
            text("Claim", claim),
            text("StorageClass", |object, _| string(&object["spec"]["storageClassName"]).into()),
            text("VolumeAttributesClass", |object, _| or_unset(&object["spec"]["volumeAttributesClassName"])),
            text("Reason", |object, _| string(&object["status"]["reason"]).into()),
        ],
        vec![wide("VolumeMode", |object, _| or_unset(&object["spec"]["volumeMode"]))],
    )
}

fn claim() -> (Columns, Columns) {
    (
        vec![
            text("Status", |object, _| phase(object)),
            text("Volume", |object, _| string(&object["spec"]["volumeName"]).into()),
            text("Capacity", |object, _| match string(&object["spec"]["volumeName"]) {
                "" => "".into(),
                _ => object["status"]["capacity"]["storage"].as_str().unwrap_or("0").into(),
            }),
            text("Access Modes", |object, _| match string(&object["spec"]["volumeName"]) {
                "" => "".into(),
                _ => modes(&object["status"]["accessModes"]).into(),
            }),
            text("StorageClass", |object, _| string(&object["spec"]["storageClassName"]).into()),
            text("VolumeAttributesClass", |object, _| or_unset(&object["spec"]["volumeAttributesClassName"])),
        ],
        vec![wide("VolumeMode", |object, _| or_unset(&object["spec"]["volumeMode"]))],
    )
}

fn quota(object: &Value, limits: bool) -> Value {
    let used = &object["status"]["used"];
    let hard = object["status"]["hard"].as_object().into_iter().flatten();
    let own = hard.filter(|(name, _)| name.starts_with("limits.") == limits);
    let told = own.map(|(name, hard)| format!("{name}: {}/{}", used[name].as_str().unwrap_or("0"), string(hard)));
    told.collect::<Vec<_>>().join(", ").into()
}

fn controller(object: &Value, _: i64) -> Value {
    let Some(owner) = elements(&object["metadata"]["ownerReferences"]).find(|owner| owner["controller"] == true) else {
        return "<none>".into();
    };
    let group = string(&owner["apiVersion"]).split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
    format!("{}{group}/{}", string(&owner["kind"]).to_lowercase(), string(&owner["name"])).into()
}

/// The first three, and how many more there are.
fn listed(texts: impl Iterator<Item = String>) -> Value {
    let all: Vec<_> = texts.collect();
    match all.len() {
        0 => "<unset>".into(),
        count @ 4.. => format!("{} + {} more...", all[..3].join(","), count - 3).into(),
        _ => all.join(",").into(),
    }
}

fn port(port: &Value) -> String {
    port["port"].as_i64().map_or_else(|| port["name"].as_str().unwrap_or("*").to_owned(), |port| port.to_string())
}

fn address(address: &Value) -> String {
    string(address).to_owned()
}

fn ingress() -> (Columns, Columns) {
    let hosts = |object: &Value, _: i64| {
        let rules: Vec<_> = elements(&object["spec"]["rules"]).collect();
        let hosts = rules.iter().map(|rule| string(&rule["host"])).filter(|host| !host.is_empty());
        let hosts: Vec<_> = hosts.take(3).collect();
        if hosts.is_empty() {
            "*".into()
        } else if rules.len() > 3 {
            format!("{} + {} more...", hosts.join(","), rules.len() - 3).into()
        } else {
            hosts.join(",").into()
        }
    };
    let address = |object: &Value, _: i64| {
        let all = elements(&object["status"]["loadBalancer"]["ingress"]);
        let mut all: Vec<_> =
            all.map(|one| string(if one["ip"].is_null() { &one["hostname"] } else { &one["ip"] })).collect();
        all.sort_unstable();
        all.join(",").into()
    };
    let ports = |object: &Value, _: i64| {
        if elements(&object["spec"]["tls"]).next().is_some() { "80, 443".into() } else { "80".into() }
    };
    (
        vec![
            text("Class", |object, _| or_none(&object["spec"]["ingressClassName"])),
            text("Hosts", hosts),
            text("Address", address),
            text("Ports", ports),
        ],
        vec![],
    )
}

fn parameters(object: &Value, _: i64) -> Value {
    let given = &object["spec"]["parameters"];
    if given.is_null() {
        return "<none>".into();
    }
    let group = given["apiGroup"].as_str().map_or(String::new(), |group| format!(".{group}"));
    format!("{}{group}/{}", string(&given["kind"]), string(&given["name"])).into()
}

fn storage_class() -> (Columns, Columns) {
    (
        vec![
            text("Provisioner", |object, _| string(&object["provisioner"]).into()),
            text("ReclaimPolicy", |object, _| object["reclaimPolicy"].as_str().unwrap_or("Delete").into()),
            text("VolumeBindingMode", |object, _| object["volumeBindingMode"].as_str().unwrap_or("Immediate").into()),
            text("AllowVolumeExpansion", |object, _| (object["allowVolumeExpansion"] == true).into()),
        ],
        vec![],
    )
}

fn csi_driver() -> (Columns, Columns) {
    let tokens = |object: &Value, _: i64| match object["spec"]["tokenRequests"].as_array() {
        None => "<unset>".into(),
        Some(tokens) => tokens.iter().map(|token| string(&token["audience"])).collect::<Vec<_>>().join(",").into(),
    };
    let modes = |object: &Value, _: i64| {
        let modes: Vec<_> = elements(&object["spec"]["volumeLifecycleModes"]).map(string).collect();
        if modes.is_empty() { "<none>".into() } else { modes.join(",").into() }
    };
    (
        vec![
            typed("AttachRequired", "boolean", |object, _| (object["spec"]["attachRequired"] != false).into()),
            typed("PodInfoOnMount", "boolean", |object, _| (object["spec"]["podInfoOnMount"] == true).into()),
            typed("StorageCapacity", "boolean", |object, _| (object["spec"]["storageCapacity"] == true).into()),
            text("TokenRequests", tokens),
            typed("RequiresRepublish", "boolean", |object, _| (object["spec"]["requiresRepublish"] == true).into()),
            text("Modes", modes),
        ],
        vec![],
    )
}

fn binding() -> (Columns, Columns) {
    fn subjects(object: &Value, kind: &str) -> Value {
        let subjects = elements(&object["subjects"]).filter(|subject| subject["kind"] == kind);
        let named = subjects.map(|subject| match string(&subject["namespace"]) {
            "" => string(&subject["name"]).to_owned(),
            namespace => format!("{namespace}/{}", string(&subject["name"])),
        });
        named.collect::<Vec<_>>().join(", ").into()
    }
    let role = |object: &Value, _: i64| {
        format!("{}/{}", string(&object["roleRef"]["kind"]), string(&object["roleRef"]["name"])).into()
    };
    (
        vec![text("Role", role)],
        vec![
            wide("Users", |object, _| subjects(object, "User")),
            wide("Groups", |object, _| subjects(object, "Group")),
            wide("ServiceAccounts", |object, _| subjects(object, "ServiceAccount")),
        ],
    )
}

fn service(object: &Value, _: i64) -> Value {
    let service = &object["spec"]["service"];
    if service.is_null() {
        "Local".into()
    } else {
        format!("{}/{}", string(&service["namespace"]), string(&service["name"])).into()
    }
}

fn available(object: &Value, _: i64) -> Value {
    let condition = elements(&object["status"]["conditions"]).find(|condition| condition["type"] == "Available");
    match condition {
        Some(condition) if condition["status"] == "True" => "True".into(),
        Some(condition) => format!("{} ({})", string(&condition["status"]), string(&condition["reason"])).into(),
        None => "Unknown".into(),
    }
}
