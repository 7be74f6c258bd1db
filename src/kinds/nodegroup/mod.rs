//! Node groups of every make in one table: managed groups, Auto Scaling groups of one's own, Karpenter's pools, Fargate
//! profiles. What AWS says of them comes with the row; which nodes have registered and are ready is joined from the
//! nodes' table. What nobody could tell is unknown, never 0.

mod columns;
mod facts;
mod funnel;
mod pools;
mod price;

use std::sync::Arc;

pub use self::{
    funnel::{Funnel, Stage},
    price::{Hourly, Prices, TypePrice},
};
use super::{At, Column, Decoder, Definition, Drill, HasId, Kind, Origin, node::Node, pod::Pod};
use crate::store::{intern::Sym, lens::Pin, query::Selector, table::Meta, value::Health, world::Joins};

pub struct NodeGroup;

/// The part of the table that AWS answers for, and the one that Karpenter's objects do: rows are owned by their part.
pub const AWS_PART: &str = "aws";
pub const KARPENTER_PART: &str = "karpenter";
pub const KARPENTER_GROUP: &str = "karpenter.sh";

/// Why something is not known that nobody refused to say.
const NOT_ASKED: &str = "AWS has not been asked yet";

/// Who runs a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// EKS, through an Auto Scaling group of its own.
    Managed,
    /// An Auto Scaling group that EKS knows nothing of.
    Own,
    Karpenter,
    /// Karpenter's pools as AWS runs them (EKS Auto Mode).
    Auto,
    Fargate,
}

impl Make {
    /// As in the nodes' column `kind`.
    pub fn word(self) -> &'static str {
        match self {
            Make::Managed => "managed",
            Make::Own => "self",
            Make::Karpenter => "karpenter",
            Make::Auto => "auto",
            Make::Fargate => "fargate",
        }
    }

    /// What changes the size of a group that has none of its own; empty where that is nobody's.
    pub fn instead(self) -> &'static str {
        match self {
            // The API server refuses to give a pool replicas later, or to take them away.
            Make::Karpenter | Make::Auto => {
                "scale a workload: it grows up to spec.limits. Only a pool made with spec.replicas has a size"
            }
            Make::Fargate => "scale the workload",
            Make::Managed | Make::Own => "",
        }
    }
}

/// Where AWS keeps a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    pub cluster: String,
    pub region: String,
    pub account: Option<String>,
    /// The profile that was named for the session.
    pub profile: Option<String>,
}

/// What is kept of a group. Instants are Unix seconds, 0 where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As nodes' labels have it.
    pub name: Sym,
    pub make: Make,
    /// Bounds and wish as the group's owner has them: EKS, or the Auto Scaling group itself, or the pool.
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub desired: Option<u32>,
    /// The Auto Scaling group behind it; none where there is none or it could not be seen.
    pub asg: Option<Asg>,
    /// What Karpenter says it has; its pools have no instances of which AWS would tell.
    pub claimed: Option<u32>,
    pub types: Vec<String>,
    pub spot: Option<bool>,
    /// EKS's word, `ACTIVE`; empty where there is none.
    pub status: String,
    /// What EKS says is wrong with it: code and message.
    pub issues: Vec<String>,
    pub release: Release,
    /// What EKS is doing to it: the type of the update and its id.
    pub update: Option<String>,
    /// The newest failed activity, where none has succeeded since: when, and in AWS's words.
    pub failure: Option<(i64, String)>,
    /// Changes that will come by themselves, or why that is not known.
    pub schedules: Result<Vec<String>, String>,
    /// Policies of its Auto Scaling group that change its size as a metric wants it, or why they are not known.
    pub policies: Result<Vec<String>, String>,
    /// Its instances are being replaced: how far that is.
    pub refresh: Option<String>,
    /// Zone and free addresses of each subnet, or why that is not known.
    pub subnets: Result<Vec<Subnet>, String>,
    /// When the newest launch succeeded, where that is all that has happened since something failed.
    pub recovered: Option<i64>,
    /// `key=value:Effect`, with commas; empty where there are none.
    pub taints: String,
    /// The launch template that it names, and the newest version of that.
    pub template: Option<Template>,
    pub autoscaler: Autoscaler,
    pub prices: Arc<Prices>,
    /// What could not be asked, and which permission would help.
    pub doubts: Vec<String>,
    /// Why keys that change its size cannot work; empty where they can.
    pub fixed: &'static str,
    pub place: Option<Arc<Place>>,
    /// When AWS said so; 0 for what the API server keeps up to date.
    pub at: i64,
}

/// An Auto Scaling group as it really is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asg {
    pub name: String,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub desired: Option<u32>,
    pub instances: Vec<Instance>,
    pub suspended: Vec<String>,
    /// What changes how it comes and goes: `warm pool`, `capacity rebalance`, `2 protected`.
    pub traits: Vec<String>,
    /// Instances that were launched from another version of its template.
    pub outdated: u32,
    /// Who alone may change it, where that is somebody else.
    pub operator: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub id: Sym,
    pub instance_type: String,
    pub zone: String,
    /// It is on its way out.
    pub ending: bool,
}

/// Whether cluster-autoscaler has a hand in a group's size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Autoscaler {
    /// Nothing says so.
    #[default]
    None,
    /// The group carries its tags, as all managed ones do; nobody could tell whether one runs.
    Tagged,
    /// Its status names the group; why it holds off growing it, where it does.
    Runs { backoff: Option<String> },
}

/// A launch template as a group uses it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    pub id: String,
    pub name: String,
    pub version: String,
    /// None where nobody could tell.
    pub latest: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub free: Option<u32>,
}

/// The node image of a group, and how it stands to the newest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Release {
    /// `1.33.4-20260815`, an AMI id, or empty.
    pub own: String,
    /// The newest for its kind and version; none where there is nothing to compare with.
    pub newest: Option<String>,
}

/// As kubectl writes a taint: `key=value:Effect`.
pub fn taint(key: &str, value: &str, effect: &str) -> String {
    if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") }
}

impl Row {
    /// A group of which nothing but its name and make is known.
    pub fn new(name: Sym, make: Make) -> Self {
        Self {
            name,
            make,
            min: None,
            max: None,
            desired: None,
            asg: None,
            claimed: None,
            types: Vec::new(),
            spot: None,
            status: String::new(),
            issues: Vec::new(),
            release: Release::default(),
            update: None,
            failure: None,
            recovered: None,
            taints: String::new(),
            template: None,
            schedules: Err(NOT_ASKED.to_owned()),
            policies: Err(NOT_ASKED.to_owned()),
            refresh: None,
            subnets: Err(NOT_ASKED.to_owned()),
            autoscaler: Autoscaler::None,
            prices: Arc::default(),
            doubts: Vec::new(),
            fixed: "",
            place: None,
            at: 0,
        }
    }
}

impl Kind for NodeGroup {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "nodegroups",
        kind: "NodeGroup",
        group: "",
        version: "",
        namespaced: false,
        aliases: &["ng", "nodegroup"],
        sort: None,
        joins: &["nodes", "pods", "nodeclaims", "poddisruptionbudgets"],
    };
    const ORIGIN: Origin = Origin::Aws;

    fn columns() -> &'static [Column<Row>] {
        columns::COLUMNS
    }

    fn health(row: &Row, at: &At<'_>) -> Health {
        row.state(at).0
    }

    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        if row.make == Make::Fargate {
            let selector = Selector::parse(&format!("eks.amazonaws.com/fargate-profile={}", at.name)).ok()?;
            return Some(Drill { plural: "pods".to_owned(), namespace: None, pin: Some(Pin::Labels(selector)) });
        }
        let text = at.world.symbols.get(row.name).to_owned();
        Some(Drill { plural: "nodes".to_owned(), namespace: None, pin: Some(Pin::Column { id: "group", text }) })
    }

    fn joined(joins: &mut Joins, _id: u32, old: Option<(&Meta, &Row)>, new: Option<(&Meta, &Row)>) {
        if let Some((_, row)) = new.filter(|(_, row)| row.place.is_some())
            && !Arc::ptr_eq(&row.prices, &joins.prices)
        {
            joins.prices = Arc::clone(&row.prices);
            joins.bump(Node::ID);
            joins.bump(Pod::ID);
        }
        let members = |row: &Row| -> Vec<Sym> {
            row.asg.iter().flat_map(|asg| &asg.instances).map(|instance| instance.id).collect()
        };
        let (before, after) = (old.map(|(_, row)| members(row)), new.map(|(_, row)| members(row)));
        if before == after {
            return;
        }
        for instance in before.into_iter().flatten() {
            joins.group_of.remove(&instance);
        }
        if let Some((_, row)) = new {
            joins.group_of.extend(after.into_iter().flatten().map(|instance| (instance, row.name)));
        }
        joins.bump(Node::ID);
        joins.bump(Pod::ID);
    }

    /// Of the part that the API server has: Karpenter's pools.
    fn decoder() -> Box<dyn Decoder> {
        pools::decoder()
    }
}

#[cfg(test)]
mod tests;
