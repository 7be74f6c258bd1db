//! Karpenter's NodePools as node groups (karpenter.sh/v1, `pkg/apis/v1/nodepool.go`). There is no protobuf of custom
//! resources, so this is JSON; pools are few.

use std::any::Any;

use bytes::Bytes;
use serde::Deserialize;

use super::{KARPENTER_PART, Make, Row};
use crate::{
    kinds::{DecodeError, Decoder, Encoding, EventKind, Form, meta, uid, wire::ObjectMeta},
    store::{
        intern::Interner,
        table::{Change, Changes},
    },
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodePool {
    metadata: ObjectMeta,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    /// Static capacity: so many nodes, whatever pods ask for.
    replicas: Option<u32>,
    template: Template,
    limits: Limits,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Limits {
    nodes: Option<Number>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    spec: TemplateSpec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TemplateSpec {
    node_class_ref: ClassRef,
    requirements: Vec<Requirement>,
    taints: Vec<Taint>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Taint {
    key: String,
    value: String,
    effect: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ClassRef {
    group: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    nodes: Option<Number>,
    resources: Resources,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resources {
    /// How many nodes its claims come to, where `status.nodes` is not there yet.
    nodes: Option<Number>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

impl Condition {
    /// Why something is not ready, as far as it says.
    fn words(&self) -> String {
        match (self.reason.as_str(), self.message.as_str()) {
            ("" | "Ready", "") => "not ready".to_owned(),
            (reason, "") => reason.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

/// A quantity of whole things, as a number or as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u32),
    Text(String),
}

impl Number {
    fn count(&self) -> Option<u32> {
        match self {
            Number::Number(count) => Some(*count),
            Number::Text(text) => text.parse().ok(),
        }
    }
}

/// Why keys cannot change the size of a pool.
const DYNAMIC: &str = "Karpenter sizes it by the pods that wait";

fn row(pool: &NodePool, interner: &mut Interner) -> Row {
    let template = &pool.spec.template.spec;
    let auto = template.node_class_ref.group == "eks.amazonaws.com";
    let name = interner.bytes(&pool.metadata.name);
    let mut row = Row::new(name, if auto { Make::Auto } else { Make::Karpenter });
    let values = |keys: &[&str]| -> Vec<String> {
        let wanted = |it: &&Requirement| keys.contains(&it.key.as_str()) && it.operator == "In";
        template.requirements.iter().find(wanted).map_or(Vec::new(), |it| it.values.clone())
    };
    row.types = values(&["node.kubernetes.io/instance-type"]);
    if row.types.is_empty() {
        row.types = values(&["karpenter.k8s.aws/instance-family", "eks.amazonaws.com/instance-family"]);
    }
    if row.types.is_empty() {
        row.types = values(&["karpenter.k8s.aws/instance-category", "eks.amazonaws.com/instance-category"]);
    }
    row.spot = match &values(&["karpenter.sh/capacity-type"])[..] {
        [one] => Some(one == "spot"),
        _ => None,
    };
    let taint = |it: &Taint| super::taint(&it.key, &it.value, &it.effect);
    row.taints = template.taints.iter().map(taint).collect::<Vec<_>>().join(",");
    row.desired = pool.spec.replicas;
    row.max = pool.spec.limits.nodes.as_ref().and_then(Number::count);
    row.claimed = pool.status.nodes.as_ref().or(pool.status.resources.nodes.as_ref()).and_then(Number::count);
    let not_ready = |it: &&Condition| it.r#type == "Ready" && it.status == "False";
    row.issues = pool.status.conditions.iter().filter(not_ready).map(Condition::words).collect();
    if row.desired.is_none() {
        row.fixed = DYNAMIC;
    }
    row
}

pub(super) fn decoder() -> Box<dyn Decoder> {
    Box::new(Pools { changes: Changes::default() })
}

struct Pools {
    changes: Changes<Row>,
}

impl Decoder for Pools {
    fn form(&self) -> Form {
        Form::Json
    }

    fn object(
        &mut self,
        event: EventKind,
        _encoding: Encoding,
        object: Bytes,
        interner: &mut Interner,
    ) -> Result<Bytes, DecodeError> {
        let pool: NodePool = serde_json::from_slice(&object).map_err(|error| DecodeError(error.to_string()))?;
        if pool.metadata.name.is_empty() {
            return Err(DecodeError("a pool without a name".to_owned()));
        }
        self.changes.changes.push(match event {
            EventKind::Present => {
                let mut meta = meta(&pool.metadata, &mut self.changes.names, interner);
                meta.owner_name = interner.text(KARPENTER_PART);
                Change::Upsert(meta, row(&pool, interner))
            }
            EventKind::Deleted => Change::Remove(uid(&pool.metadata)),
        });
        Ok(pool.metadata.resource_version.clone())
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        let changes = std::mem::take(&mut self.changes);
        (changes.changes.len(), Box::new(changes))
    }

    fn pending(&self) -> usize {
        self.changes.changes.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(pool: &serde_json::Value) -> Row {
        row(&serde_json::from_value(pool.clone()).unwrap(), &mut Interner::default())
    }

    #[test]
    fn a_pool_is_what_its_object_says() {
        let requirement = |key: &str, values: &[&str]| json!({ "key": key, "operator": "In", "values": values });
        let requirements = [
            requirement("karpenter.sh/capacity-type", &["spot"]),
            requirement("karpenter.k8s.aws/instance-family", &["c7g", "m7g"]),
        ];
        let mut pool = json!({
            "metadata": { "name": "default" },
            "spec": {
                "limits": { "cpu": "100", "nodes": "20" },
                "template": { "spec": {
                    "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
                    "requirements": requirements,
                } },
            },
            "status": {
                "resources": { "cpu": "14", "nodes": "7" },
                "conditions": [{ "type": "Ready", "status": "False", "reason": "NodeClassNotReady", "message": "wait" }],
            },
        });
        let row = read(&pool);
        assert_eq!((row.make, row.desired, row.max, row.claimed), (Make::Karpenter, None, Some(20), Some(7)));
        assert_eq!((row.types.join(" "), row.spot), ("c7g m7g".to_owned(), Some(true)));
        assert_eq!(row.issues, ["NodeClassNotReady: wait"]);
        assert_eq!(row.fixed, DYNAMIC);

        pool["spec"]["replicas"] = json!(3);
        pool["spec"]["template"]["spec"]["nodeClassRef"]["group"] = json!("eks.amazonaws.com");
        let row = read(&pool);
        assert_eq!((row.make, row.desired, row.fixed), (Make::Auto, Some(3), ""));
    }

    #[test]
    fn what_a_pool_does_not_say_is_unknown() {
        let row = read(&json!({ "metadata": { "name": "empty" } }));
        assert_eq!((row.desired, row.max, row.claimed, row.spot), (None, None, None, None));
        assert!(row.types.is_empty() && row.issues.is_empty());
    }
}
