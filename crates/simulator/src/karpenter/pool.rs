//! Pools: what their objects say, and the status that Karpenter keeps of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::condition;
use super::{say, termination};
use crate::catalog::{NODE_CLAIMS, NODE_CLASSES, NODE_POOLS};
use crate::clock::Moment;
use crate::cluster::life;
use crate::cluster::scheduler::Requirement;
use crate::encoding::template::rfc3339;
use crate::object::Object;
use crate::world::World;

/// The label by which claims and nodes belong to a pool.
pub const LABEL: &str = "karpenter.sh/nodepool";
pub const HASH: &str = "karpenter.sh/nodepool-hash";
const HASH_VERSION: &str = "karpenter.sh/nodepool-hash-version";

/// A pool, as far as decisions go.
#[derive(Debug, Clone)]
pub struct Pool {
    pub name: String,
    /// The object itself.
    pub value: Value,
    pub weight: i64,
    pub requirements: Vec<Requirement>,
    /// Key, value and effect; of those that stay.
    pub taints: Vec<[String; 3]>,
    /// CPUs and nodes that it may come to.
    cpus: Option<u32>,
    most_nodes: Option<u32>,
    /// Static capacity: so many nodes, whatever pods ask for.
    pub replicas: Option<u32>,
    /// `None`: never.
    pub consolidate_after: Option<Moment>,
    pub ready: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn small(value: &Value) -> Option<u32> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u32::try_from(number).ok()
}

/// Milliseconds of a duration as Go writes it (`1h30m`); `None` for `Never`, and for what is none.
fn duration(value: &Value) -> Option<Moment> {
    let (mut total, mut number) = (0, String::new());
    for letter in value.as_str()?.chars() {
        let unit = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            'h' => 3_600_000,
            'm' => 60_000,
            's' => 1_000,
            _ => return None,
        };
        total += std::mem::take(&mut number).parse::<Moment>().ok()? * unit;
    }
    number.is_empty().then_some(total)
}

/// How long the pods of a claim may take to go once it is deleted.
pub fn grace(claim: &Value) -> Option<Moment> {
    duration(&claim["spec"]["terminationGracePeriod"])
}

pub fn taint(value: &Value) -> [String; 3] {
    [text(&value["key"]), text(&value["value"]), text(&value["effect"])]
}

/// The status of one of an object's conditions.
pub fn state<'a>(value: &'a Value, kind: &str) -> Option<&'a str> {
    list(&value["status"]["conditions"]).iter().find(|one| one["type"] == kind)?["status"].as_str()
}

impl Pool {
    fn of(value: Value) -> Self {
        let (spec, template) = (&value["spec"], &value["spec"]["template"]["spec"]);
        Self {
            name: text(&value["metadata"]["name"]),
            weight: spec["weight"].as_i64().unwrap_or(0),
            requirements: list(&template["requirements"]).iter().map(Requirement::of).collect(),
            taints: list(&template["taints"]).iter().map(taint).collect(),
            cpus: small(&spec["limits"]["cpu"]),
            most_nodes: small(&spec["limits"]["nodes"]),
            replicas: small(&spec["replicas"]),
            consolidate_after: duration(&spec["disruption"]["consolidateAfter"]),
            ready: state(&value, "Ready") == Some("True") && !life::is_deleted(&value),
            value,
        }
    }

    pub fn find(world: &World, name: &str) -> Option<Self> {
        world.get(NODE_POOLS, name).map(|object| Self::of(object.value()))
    }

    /// Those that make nodes for pods, the heaviest first.
    pub fn all(world: &World) -> Vec<Self> {
        let objects = world.snapshot(NODE_POOLS, "").objects;
        let pools = objects.iter().map(|object| Self::of(object.value()));
        let mut pools: Vec<_> = pools.filter(|pool| pool.ready && pool.replicas.is_none()).collect();
        pools.sort_by_key(|pool| -pool.weight);
        pools
    }

    /// Whether a machine with so many CPUs is within the limits, with what the pool has already.
    pub fn has_room(&self, used: (u32, u32), cpus: u32) -> bool {
        self.cpus.is_none_or(|most| used.0 + cpus <= most) && self.most_nodes.is_none_or(|most| used.1 < most)
    }

    /// How many of its nodes may be ended for this reason at once, of `nodes`. Budgets with a schedule are left out.
    pub fn budget(&self, reason: &str, nodes: u32) -> u32 {
        let budgets = list(&self.value["spec"]["disruption"]["budgets"]);
        let holds = |budget: &&Value| {
            let reasons = &budget["reasons"];
            budget["schedule"].is_null() && (reasons.is_null() || list(reasons).iter().any(|one| one == reason))
        };
        let allowed = budgets.iter().filter(holds).map(|budget| match budget["nodes"].as_str() {
            Some(percent) if percent.ends_with('%') => {
                percent.trim_end_matches('%').parse::<u32>().map_or(0, |percent| (nodes * percent).div_ceil(100))
            }
            _ => small(&budget["nodes"]).unwrap_or(0),
        });
        allowed.min().unwrap_or(nodes)
    }

    /// The claims that it owns.
    pub fn claims(&self, world: &World) -> Vec<Value> {
        let owned = world.life.index.owned(life::uid(&self.value));
        let claims = owned.into_iter().filter(|(resource, _)| *resource == NODE_CLAIMS);
        claims.filter_map(|(resource, key)| world.get(resource, &key)).map(|object| object.value()).collect()
    }
}

/// Millicores or bytes of a quantity; what Karpenter's own objects hold, and no more than that.
fn amount(value: &Value) -> u64 {
    let Some(text) = value.as_str() else { return 0 };
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..split].parse().unwrap_or(0);
    number * if text[split..].starts_with('K') { 1024 } else { 1 }
}

/// CPUs and nodes of claims.
pub fn used<'a>(claims: impl Iterator<Item = &'a Value>) -> (u32, u32) {
    claims.fold((0, 0), |(cpus, nodes), claim| {
        let more = amount(&claim["status"]["capacity"]["cpu"]);
        (cpus + u32::try_from(more).unwrap_or(u32::MAX), nodes + 1)
    })
}

/// Writes into a pool's status what its claims come to.
pub fn count<'a>(status: &mut Value, claims: impl Iterator<Item = &'a Value>) {
    let claims: Vec<_> = claims.filter(|claim| claim["status"]["providerID"].is_string()).collect();
    let sum = |name: &str| claims.iter().map(|claim| amount(&claim["status"]["capacity"][name])).sum::<u64>();
    let kibibytes = |name: &str| match sum(name) / 1024 {
        0 => "0".to_owned(),
        some => format!("{some}Ki"),
    };
    status["nodes"] = claims.len().into();
    status["resources"] = json!({
        "cpu": sum("cpu").to_string(), "ephemeral-storage": kibibytes("ephemeral-storage"),
        "memory": kibibytes("memory"), "nodes": claims.len().to_string(), "pods": sum("pods").to_string(),
    });
}

/// Notes on a pool what its template is, so that a change of it shows.
pub fn hash(pool: &mut Value) {
    let mut hasher = DefaultHasher::new();
    pool["spec"]["template"].to_string().hash(&mut hasher);
    pool["metadata"]["annotations"][HASH] = hasher.finish().to_string().into();
    pool["metadata"]["annotations"][HASH_VERSION] = "v3".into();
}

/// Sets conditions that follow from each other, each with the time of its own change; says what changed.
pub fn set(value: &mut Value, kind: &str, status: &str, reason: &str, message: &str, now: i64) -> Option<String> {
    let generation = value["metadata"]["generation"].as_u64().unwrap_or(1);
    let mut next = condition(kind, status, reason, message, generation, &rfc3339(now));
    if !value["status"]["conditions"].is_array() {
        value["status"]["conditions"] = json!([]);
    }
    let conditions = value["status"]["conditions"].as_array_mut()?;
    let Some(before) = conditions.iter_mut().find(|one| one["type"] == kind) else {
        conditions.push(next);
        return None;
    };
    let old = text(&before["status"]);
    if old == status {
        next["lastTransitionTime"] = before["lastTransitionTime"].clone();
    }
    *before = next;
    (old != status).then(|| {
        let because = if message.is_empty() { String::new() } else { format!(", Message: {message}") };
        format!("Status condition transitioned, Type: {kind}, Status: {old} -> {status}, Reason: {reason}{because}")
    })
}

/// Brings a pool's status up to date, and its claims to the number that it wants where that is fixed.
pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    let before = object.value();
    if life::is_deleted(&before) {
        return;
    }
    let now = world.now();
    let mut value = before.clone();
    hash(&mut value);
    let class = text(&value["spec"]["template"]["spec"]["nodeClassRef"]["name"]);
    let class = world.get(NODE_CLASSES, &class).map(|object| object.value());
    let mut said = Vec::new();
    let mut note = |value: &mut Value, kind: &'static str, status: &str, reason: &str, message: &str| {
        let change = set(value, kind, status, reason, message, now);
        said.extend(change.map(|change| (kind, change)));
    };
    let ready = match class.as_ref().map(|class| state(class, "Ready")) {
        Some(Some("True")) => {
            note(&mut value, "NodeClassReady", "True", "NodeClassReady", "");
            true
        }
        Some(_) => {
            note(&mut value, "NodeClassReady", "False", "UnhealthyDependents", "AMIsReady=False");
            false
        }
        None => {
            note(&mut value, "NodeClassReady", "False", "NodeClassNotFound", "NodeClass not found on cluster");
            false
        }
    };
    note(&mut value, "ValidationSucceeded", "True", "ValidationSucceeded", "");
    let pool = Pool::of(value.clone());
    let claims = pool.claims(world);
    if claims.iter().any(|claim| state(claim, "Registered") == Some("True")) {
        note(&mut value, "NodeRegistrationHealthy", "True", "NodeRegistrationHealthy", "");
    } else if state(&value, "NodeRegistrationHealthy").is_none() {
        let message = "object is awaiting reconciliation";
        note(&mut value, "NodeRegistrationHealthy", "Unknown", "AwaitingReconciliation", message);
    }
    if ready {
        note(&mut value, "Ready", "True", "Ready", "");
    } else {
        note(&mut value, "Ready", "False", "UnhealthyDependents", "NodeClassReady=False");
    }
    count(&mut value["status"], claims.iter());
    value["status"]["nodeClassObservedGeneration"] =
        class.map_or(Value::Null, |class| class["metadata"]["generation"].clone());
    if value != before {
        let stored = world.put_value(NODE_POOLS, value);
        for (kind, change) in said {
            say(world, &stored, false, kind, &change);
        }
    }
    if ready && let Some(replicas) = pool.replicas {
        keep(world, &pool, &claims, replicas as usize);
    }
}

/// A static pool has as many claims as it wants.
fn keep(world: &mut World, pool: &Pool, claims: &[Value], replicas: usize) {
    let mut staying: Vec<_> = claims.iter().filter(|claim| !life::is_deleted(claim)).collect();
    let within = pool.most_nodes.map_or(usize::MAX, |most| most as usize);
    for _ in staying.len()..replicas.min(within) {
        super::provision::create_static(world, pool);
    }
    // Those that are no nodes yet go first, then the youngest.
    let rank =
        |claim: &&Value| (state(claim, "Initialized") != Some("True"), text(&claim["metadata"]["creationTimestamp"]));
    staying.sort_by_key(rank);
    for claim in staying.iter().skip(replicas) {
        termination::begin(world, &text(&claim["metadata"]["name"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let read = |text: &str| duration(&json!(text));
        assert_eq!((read("1m"), read("1h30m"), read("10s")), (Some(60_000), Some(5_400_000), Some(10_000)));
        assert_eq!((read("Never"), read("5"), duration(&Value::Null)), (None, None, None));
        assert_eq!(read("0s"), Some(0));
    }

    #[test]
    fn the_smallest_budget_counts() {
        let pool = |budgets: Value| Pool::of(json!({ "spec": { "disruption": { "budgets": budgets } } }));
        assert_eq!(pool(json!([{ "nodes": "10%" }])).budget("Empty", 4), 1, "shares are rounded up");
        assert_eq!(pool(json!([{ "nodes": "50%" }, { "nodes": "1" }])).budget("Empty", 10), 1);
        assert_eq!(pool(json!([{ "nodes": "0", "reasons": ["Drifted"] }])).budget("Empty", 10), 10);
        assert_eq!(pool(json!([{ "nodes": "0" }])).budget("Empty", 10), 0);
    }
}
