//! Karpenter's NodeClaims: one wish for a node each, from the launch of its instance to the node that is ready
//! (karpenter.sh/v1, `pkg/apis/v1/nodeclaim_status.go`). What they come to for each pool is joined into the node groups.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, Form, HasId, Kind, Wired,
    nodegroup::NodeGroup,
    wire::{ObjectMeta, text, wire},
};
use crate::store::{
    intern::{Interner, Sym},
    lens::Pin,
    table::Meta,
    value::{Health, Value},
    world::Joins,
};

pub struct NodeClaim;

// Custom resources have no protobuf: the numbers say nothing, the names do.
wire! {
    pub struct ClaimObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<ClaimSpec>,
        #[prost(message, tag = "3")] pub status: Option<ClaimStatus>,
    }

    pub struct ClaimSpec {
        #[prost(message, tag = "1")] pub node_class_ref: Option<ClassRef>,
    }

    pub struct ClassRef {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
    }

    pub struct ClaimStatus {
        #[prost(bytes = "bytes", tag = "1")] pub node_name: Bytes,
        #[prost(bytes = "bytes", tag = "2")] #[serde(rename = "providerID")] pub provider_id: Bytes,
        #[prost(bytes = "bytes", tag = "3")] #[serde(rename = "imageID")] pub image_id: Bytes,
        #[prost(message, repeated, tag = "4")] pub conditions: Vec<ClaimCondition>,
    }

    pub struct ClaimCondition {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub status: Bytes,
        #[prost(bytes = "bytes", tag = "3")] pub reason: Bytes,
        #[prost(bytes = "bytes", tag = "4")] pub message: Bytes,
    }
}

/// How far a claim has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// No instance yet.
    Asked,
    /// An instance, but no node.
    Launched,
    /// A node, but not all that it should offer.
    Registered,
    Initialized,
}

/// What is kept of a claim. Texts are kubectl's, empty where it prints nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub pool: Sym,
    pub instance_type: Sym,
    pub capacity: Sym,
    pub zone: Sym,
    pub node: Sym,
    pub ready: Sym,
    pub drifted: Sym,
    pub image: Sym,
    pub provider_id: Sym,
    pub class: Sym,
    pub step: Step,
    pub is_drifted: bool,
    /// Why it has come no further, as the condition of the next step says; empty where nothing is wrong.
    pub trouble: Sym,
}

/// What the claims of one pool come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claims {
    pub all: u32,
    /// Those that have an instance.
    pub launched: u32,
    /// Those whose node has all that it should offer.
    pub initialized: u32,
    /// Those that are not as their pool wants them.
    pub drifted: u32,
    /// Those that are on their way out.
    pub leaving: u32,
}

impl Claims {
    fn of(meta: &Meta, row: &Row) -> Self {
        Self {
            all: 1,
            launched: u32::from(row.step >= Step::Launched),
            initialized: u32::from(row.step == Step::Initialized),
            drifted: u32::from(row.is_drifted),
            leaving: u32::from(meta.deleted > 0),
        }
    }

    fn change(&mut self, other: Self, by: fn(u32, u32) -> u32) {
        self.all = by(self.all, other.all);
        self.launched = by(self.launched, other.launched);
        self.initialized = by(self.initialized, other.initialized);
        self.drifted = by(self.drifted, other.drifted);
        self.leaving = by(self.leaving, other.leaving);
    }
}

/// Steps with the condition that says that they are done, in their order.
const STEPS: [(&[u8], Step); 3] =
    [(b"Launched", Step::Launched), (b"Registered", Step::Registered), (b"Initialized", Step::Initialized)];

impl Wired for NodeClaim {
    type Wire = ClaimObject;
    const FORM: Form = Form::Json;

    fn meta(wire: &ClaimObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &ClaimObject, interner: &mut Interner) -> Row {
        let meta = Self::meta(wire);
        let status = wire.status.clone().unwrap_or_default();
        let condition = |name: &[u8]| status.conditions.iter().find(|condition| condition.r#type == name);
        let is = |name: &[u8]| condition(name).is_some_and(|condition| condition.status == "True");
        let done = STEPS.iter().take_while(|(name, _)| is(name)).count();
        let step = done.checked_sub(1).map_or(Step::Asked, |last| STEPS[last].1);
        let next = STEPS.get(done).and_then(|(name, _)| condition(name));
        let trouble = next.filter(|next| !next.message.is_empty() && next.reason != "AwaitingReconciliation");
        let trouble = trouble.map_or(String::new(), |next| {
            let (reason, message) = (text(&next.reason), text(&next.message));
            if reason.is_empty() || reason == message { message.into_owned() } else { format!("{reason}: {message}") }
        });
        let class = wire.spec.as_ref().and_then(|spec| spec.node_class_ref.as_ref()).map(|class| class.name.clone());
        let mut symbol = |text: Option<&Bytes>| text.map_or(Sym::EMPTY, |text| interner.bytes(text));
        Row {
            pool: symbol(meta.label("karpenter.sh/nodepool")),
            instance_type: symbol(meta.label("node.kubernetes.io/instance-type")),
            capacity: symbol(meta.label("karpenter.sh/capacity-type")),
            zone: symbol(meta.label("topology.kubernetes.io/zone")),
            node: symbol(Some(&status.node_name)),
            ready: symbol(condition(b"Ready").map(|it| &it.status)),
            drifted: symbol(condition(b"Drifted").map(|it| &it.status)),
            image: symbol(Some(&status.image_id)),
            provider_id: symbol(Some(&status.provider_id)),
            class: symbol(class.as_ref()),
            step,
            is_drifted: is(b"Drifted"),
            trouble: interner.text(&trouble),
        }
    }
}

impl Row {
    fn state(&self, at: &At<'_>) -> (Health, String) {
        let trouble = at.world.symbols.get(self.trouble);
        let with = |word: &str| if trouble.is_empty() { word.to_owned() } else { format!("{word}: {trouble}") };
        let going = if trouble.is_empty() { Health::Progressing } else { Health::Warn };
        if at.meta.deleted > 0 {
            return (Health::Progressing, "leaving".to_owned());
        }
        match self.step {
            Step::Asked => (going, with("launching")),
            Step::Launched => (going, with("joining")),
            Step::Registered => (going, with("initializing")),
            Step::Initialized if self.is_drifted => (Health::Warn, "drifted".to_owned()),
            Step::Initialized if at.world.symbols.get(self.ready) != "True" => (Health::Warn, "not ready".to_owned()),
            Step::Initialized => (Health::Ok, "ready".to_owned()),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("type", "Instance type", |row, at| at.plain(row.instance_type)).rank(1),
    Column::text("capacity", "On-demand, spot or reserved", |row, at| at.plain(row.capacity)).rank(3),
    Column::text("zone", "Availability zone", |row, at| at.plain(row.zone)).rank(3),
    Column::text("node", "The node that it became", |row, at| at.plain(row.node)).rank(2),
    Column::text("ready", "Whether its node is ready", |row, at| at.plain(row.ready)).rank(1),
    Column::text("step", "How far it has come, and what holds it up", |row, at| {
        let (health, text) = row.state(at);
        Value::Status(health, text.into())
    })
    .rank(0),
    Column::text("nodepool", "The pool that it belongs to", |row, at| at.plain(row.pool)).rank(2),
    Column::AGE,
    Column::text("imageid", "Image of its instance", |row, at| at.plain(row.image)).wide(),
    Column::text("id", "Instance behind it", |row, at| at.plain(row.provider_id)).wide(),
    Column::text("nodeclass", "Class that says how to launch it", |row, at| at.plain(row.class)).wide(),
    Column::text("drifted", "Whether it is no longer as its pool wants it", |row, at| at.plain(row.drifted)).wide(),
    Column::LABELS,
];

impl Kind for NodeClaim {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "nodeclaims",
        kind: "NodeClaim",
        group: "karpenter.sh",
        version: "v1",
        namespaced: false,
        aliases: &["nodeclaim"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, at: &At<'_>) -> Health {
        row.state(at).0
    }

    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        let name = at.world.symbols.get(row.node);
        let pin = Some(Pin::Name(name.to_owned()));
        (!name.is_empty()).then(|| Drill { plural: "nodes".to_owned(), namespace: None, pin })
    }

    fn joined(joins: &mut Joins, _id: u32, old: Option<(&Meta, &Row)>, new: Option<(&Meta, &Row)>) {
        if let Some((meta, row)) = old
            && let Some(claims) = joins.claims.get_mut(&row.pool)
        {
            claims.change(Claims::of(meta, row), u32::saturating_sub);
        }
        if let Some((meta, row)) = new {
            joins.claims.entry(row.pool).or_default().change(Claims::of(meta, row), u32::saturating_add);
        }
        joins.bump(NodeGroup::ID);
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        app::scripted::Script,
        config::settings::Config,
        store::table::Rows,
        ui::theme::ColorDepth,
    };

    fn cells(script: &Script, columns: &[&str]) -> Vec<String> {
        let (world, table) = (&script.model.world, script.model.world.table::<NodeClaim>());
        let id = table.natural()[0];
        let text = |column: &&str| {
            let index = table.columns().iter().position(|info| info.id == *column).unwrap();
            table.value(id, index, world).render(0).into_owned()
        };
        columns.iter().map(text).collect()
    }

    /// A claim as Karpenter 1.14.1 wrote it.
    fn recorded() -> serde_json::Value {
        let is = |kind: &str, reason: &str| json!({ "type": kind, "status": "True", "reason": reason, "message": "" });
        json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {
                "name": "general-8c24w", "uid": "ab4c4f76-078e-43f3-aebf-dccc8f3c7e44",
                "labels": {
                    "karpenter.sh/capacity-type": "spot", "karpenter.sh/nodepool": "general",
                    "node.kubernetes.io/instance-type": "c-4x-amd64-linux", "topology.kubernetes.io/zone": "test-zone-b",
                },
            },
            "spec": { "nodeClassRef": { "group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default" } },
            "status": {
                "conditions": [
                    is("ConsistentStateFound", "ConsistentStateFound"), is("Launched", "Launched"),
                    is("Registered", "Registered"), is("Initialized", "Initialized"), is("Ready", "Ready"),
                ],
                "nodeName": "kwok-general-8c24w", "providerID": "kwok://kwok-general-8c24w",
            },
        })
    }

    fn script(change: impl FnOnce(&mut serde_json::Value)) -> Script {
        let mut script = Script::new(Config::default(), ColorDepth::True);
        let mut claim = recorded();
        change(&mut claim);
        script.feed(NodeClaim::ID, &[claim]);
        script
    }

    #[test]
    fn columns_are_kubectls_and_say_how_far_it_has_come() {
        let script = script(|_| {});
        assert_eq!(
            cells(&script, &["type", "capacity", "zone", "node", "ready", "nodepool", "nodeclass", "id", "step"]),
            ["c-4x-amd64-linux", "spot", "test-zone-b", "kwok-general-8c24w", "True", "general", "default",
                "kwok://kwok-general-8c24w", "ready"]
        );
        let pool = script.model.world.symbols.find("general").unwrap();
        let claims = script.model.world.joins.claims[&pool];
        assert_eq!(claims, Claims { all: 1, launched: 1, initialized: 1, drifted: 0, leaving: 0 });
    }

    #[test]
    fn what_holds_it_up_is_said() {
        let step = |change: &dyn Fn(&mut serde_json::Value)| cells(&script(change), &["step"]).remove(0);
        let conditions = |list: serde_json::Value| move |claim: &mut serde_json::Value| claim["status"] = json!({ "conditions": list });
        assert_eq!(step(&conditions(json!([]))), "launching");
        let failed = json!([{ "type": "Launched", "status": "Unknown", "reason": "LaunchFailed",
            "message": "insufficient capacity" }]);
        assert_eq!(step(&conditions(failed)), "launching: LaunchFailed: insufficient capacity");
        let joining = json!([{ "type": "Launched", "status": "True" }, { "type": "Registered", "status": "Unknown",
            "reason": "AwaitingReconciliation", "message": "object is awaiting reconciliation" }]);
        assert_eq!(step(&conditions(joining)), "joining", "that it waits is no trouble");
        assert_eq!(step(&|claim| claim["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:17:50Z")), "leaving");
        let drifted = |claim: &mut serde_json::Value| {
            let list = claim["status"]["conditions"].as_array_mut().unwrap();
            list.push(json!({ "type": "Drifted", "status": "True", "reason": "NodePoolDrifted" }));
        };
        assert_eq!(step(&drifted), "drifted");
    }
}
