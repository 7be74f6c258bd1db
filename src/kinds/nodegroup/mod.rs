//! Node groups of every make in one table: managed groups, Auto Scaling groups of one's own, Karpenter's pools, Fargate
//! profiles. What AWS says of them comes with the row; which nodes have registered and are ready is joined from the
//! nodes' table. What nobody could tell is unknown, never 0.

mod funnel;
mod pools;
mod price;

use std::sync::Arc;

pub use self::{
    funnel::{Funnel, Stage},
    price::{Hourly, Prices, TypePrice},
};
use super::{
    At, Decoder, Definition, Drill, HasId, Kind, Origin,
    node::{self, Node},
    percent,
    pod::Pod,
};
use crate::store::{
    intern::Sym,
    lens::Pin,
    query::Selector,
    table::Meta,
    value::{Basis, Health, Metric, Value},
    world::{Amounts, Joins, World},
};

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
    /// Zone and free addresses of each subnet, or why that is not known.
    pub subnets: Result<Vec<Subnet>, String>,
    /// Whether cluster-autoscaler is told to manage it.
    pub autoscaled: bool,
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
    /// Nodes that are not as their pool wants them.
    pub drifted: Option<u32>,
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
            schedules: Err(NOT_ASKED.to_owned()),
            subnets: Err(NOT_ASKED.to_owned()),
            autoscaled: false,
            prices: Arc::default(),
            doubts: Vec::new(),
            fixed: "",
            place: None,
            at: 0,
        }
    }

    /// How many nodes are wanted: the Auto Scaling group is the truth, EKS has a copy.
    pub fn wanted(&self) -> Option<u32> {
        self.asg.as_ref().and_then(|asg| asg.desired).or(self.desired)
    }

    /// Its nodes that have registered.
    pub fn nodes<'a>(&self, world: &'a World) -> Vec<(Sym, &'a node::Row)> {
        let nodes = world.table::<Node>();
        let row = |slot: u32| nodes.get(slot).map(|(_, node)| (node.name, node));
        match (self.make, &self.asg) {
            (Make::Own, Some(asg)) => {
                let slots = asg.instances.iter().filter_map(|instance| world.joins.instances.get(instance.id));
                slots.filter_map(row).collect()
            }
            // A profile's nodes are all called the same; its pods tell which are its own.
            (Make::Fargate, _) => Vec::new(),
            _ => {
                let labelled = world.joins.labelled.get(&self.name).map_or(&[][..], Vec::as_slice);
                let own = |node: &(Sym, &node::Row)| world.symbols.get(node.1.group_kind) == self.make.word();
                labelled.iter().copied().filter_map(row).filter(own).collect()
            }
        }
    }

    /// From the wish to nodes that are ready.
    pub fn funnel(&self, world: &World) -> Funnel {
        let (registered, ready) = if world.is_whole(Node::ID, None) && self.make != Make::Fargate {
            let nodes = self.nodes(world);
            (Stage::of(nodes.len()), Stage::of(nodes.iter().filter(|(_, node)| node.ready).count()))
        } else {
            (Stage::Unknown, Stage::Unknown)
        };
        let known = |count: Option<u32>| count.map_or(Stage::Unknown, Stage::Count);
        let (eks, asg, instances) = match (self.make, &self.asg) {
            (Make::Managed, asg) => (
                known(self.desired),
                known(asg.as_ref().and_then(|asg| asg.desired)),
                asg.as_ref().map_or(Stage::Unknown, Asg::running),
            ),
            (Make::Own, asg) => (
                Stage::None,
                known(asg.as_ref().and_then(|asg| asg.desired)),
                asg.as_ref().map_or(Stage::Unknown, Asg::running),
            ),
            (Make::Karpenter | Make::Auto, _) => {
                (self.desired.map_or(Stage::None, Stage::Count), Stage::None, known(self.claimed))
            }
            (Make::Fargate, _) => (Stage::None, Stage::None, Stage::None),
        };
        Funnel { eks, asg, instances, registered, ready }
    }

    /// What its pods ask for and what its nodes offer; none while not all of them are known.
    fn load(&self, world: &World) -> Option<(Amounts, Amounts)> {
        if !world.is_whole(Node::ID, None) || !world.is_whole(Pod::ID, None) || self.make == Make::Fargate {
            return None;
        }
        let (mut asked, mut offered) = (Amounts::default(), Amounts::default());
        for (name, node) in self.nodes(world) {
            asked.add(world.joins.on_node.get(&name).copied().unwrap_or_default().requests);
            offered.add(node.allocatable);
        }
        Some((asked, offered))
    }

    /// What it costs an hour as it runs now; none where one price is missing.
    pub fn hourly(&self, world: &World) -> Option<Hourly> {
        match &self.asg {
            Some(asg) => {
                let of = |instance: &Instance| (instance.instance_type.clone(), instance.zone.clone());
                self.prices.sum(asg.instances.iter().map(of), self.spot?)
            }
            // Of a group whose instances nobody sees there may be more than have registered.
            None if self.make == Make::Karpenter && world.is_whole(Node::ID, None) => {
                let text = |sym| world.symbols.get(sym).to_owned();
                let nodes = self.nodes(world);
                let mut sum = Hourly::default();
                for (_, node) in &nodes {
                    let spot = match world.symbols.get(node.capacity_type) {
                        "spot" => true,
                        "on-demand" => false,
                        _ => return None,
                    };
                    sum.add(world.joins.prices.of(&text(node.instance_type), &text(node.zone), spot)?);
                }
                Some(sum)
            }
            None => None,
        }
    }

    /// `m6i.large +3`.
    fn types<'a>(&'a self, world: &'a World) -> Value<'a> {
        let mut types: Vec<&str> = self.types.iter().map(String::as_str).collect();
        if matches!(self.make, Make::Karpenter | Make::Auto) {
            let nodes = self.nodes(world);
            let mut used: Vec<&str> = nodes.iter().map(|(_, node)| world.symbols.get(node.instance_type)).collect();
            used.retain(|name| !name.is_empty());
            used.sort_unstable();
            used.dedup();
            if !used.is_empty() {
                types = used;
            }
        }
        match types[..] {
            [] => Value::Unknown,
            [one] => Value::text(one),
            [first, ref rest @ ..] => Value::Text(format!("{first} +{}", rest.len()).into()),
        }
    }

    fn state(&self, at: &At<'_>) -> (Health, String) {
        let funnel = self.funnel(at.world);
        let mut words = Vec::new();
        let mut health = Health::Ok;
        let mut say = |of: Health, text: String| {
            health = health.min(of);
            words.push(text);
        };
        match &*self.status {
            "ACTIVE" | "" => {}
            "UPDATING" | "CREATING" | "DELETING" => {
                let what = self.update.clone().unwrap_or_else(|| self.status.to_lowercase());
                say(Health::Progressing, what);
            }
            "DEGRADED" => say(Health::Warn, "degraded".to_owned()),
            "CREATE_FAILED" | "DELETE_FAILED" => say(Health::Bad, self.status.to_lowercase().replace('_', " ")),
            other => say(Health::Unknown, other.to_lowercase()),
        }
        if at.world.wishes.is_sent(at.meta.uid) {
            say(Health::Progressing, "sending …".to_owned());
        }
        if let Some((_, failure)) = &self.failure {
            say(Health::Bad, failure.clone());
        }
        if let Some((of, gap)) = funnel.gap() {
            say(of, gap);
        }
        if let Some(asg) = &self.asg {
            let halts = asg.suspended.iter().filter(|process| matches!(process.as_str(), "Launch" | "Terminate"));
            for process in halts {
                say(Health::Warn, format!("{process} is suspended"));
            }
        }
        for issue in &self.issues {
            say(Health::Warn, issue.clone());
        }
        for doubt in &self.doubts {
            say(Health::Unknown, doubt.clone());
        }
        if words.is_empty() {
            words.push("ok".to_owned());
        }
        (health, words.join(", "))
    }
}

impl Asg {
    /// Instances that run or are starting.
    fn running(&self) -> Stage {
        Stage::of(self.instances.iter().filter(|instance| !instance.ending).count())
    }
}

fn count(count: Option<u32>) -> Value<'static> {
    count.map_or(Value::Unknown, |count| Value::Int(i64::from(count)))
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("kind", "Who runs it: EKS, an Auto Scaling group of your own, Karpenter, Fargate", |row, _| {
        Value::text(row.make.word())
    })
    .rank(2),
    Column::number("min", "The least that is kept", |row, _| count(row.min)).rank(3),
    Column::number("desired", "Nodes that are wanted; 3→5 while a change waits for you", |row, at| {
        match (row.wanted(), at.world.wishes.pending(at.meta.uid)) {
            (Some(now), Some(wish)) => Value::Text(format!("{now}→{wish}").into()),
            (now, _) => count(now),
        }
    })
    .joined()
    .rank(0),
    Column::number("max", "The most that is allowed", |row, _| count(row.max)).rank(3),
    Column::text(
        "funnel",
        "EKS desired · Auto Scaling desired · instances · registered nodes · ready nodes",
        |row, at| {
            let funnel = row.funnel(at.world);
            let health = funnel.gap().map_or(Health::Ok, |(health, _)| health);
            Value::Status(health, funnel.to_string().into())
        },
    )
    .joined()
    .rank(1),
    Column::text("types", "Instance types; of a pool those of its nodes, or what it may choose from", |row, at| {
        row.types(at.world)
    })
    .joined()
    .rank(4),
    Column::text("capacity", "On-demand or spot", |row, _| match row.spot {
        Some(true) => Value::text("spot"),
        Some(false) => Value::text("on-demand"),
        None => Value::Unknown,
    })
    .rank(6),
    Column::text("release", "Its node image against the newest", |row, _| row.release.value()).rank(5),
    Column::number("%cpu-req", "CPU that its pods ask for, percent of allocatable", |row, at| {
        row.load(at.world).map_or(Value::Unknown, |(asked, offered)| percent(Metric::Cpu, asked.cpu, offered.cpu))
    })
    .joined()
    .rank(3),
    Column::number("%mem-req", "Memory that its pods ask for, percent of allocatable", |row, at| {
        row.load(at.world)
            .map_or(Value::Unknown, |(asked, offered)| percent(Metric::Memory, asked.memory, offered.memory))
    })
    .joined()
    .rank(6),
    Column::number("$/h", "What its instances cost an hour by list; s by spot prices", |row, at| {
        row.hourly(at.world).map_or(Value::Unknown, |sum| {
            Value::Price(sum.dollars, if sum.spot { Basis::Spot } else { Basis::List })
        })
    })
    .joined()
    .rank(3),
    Column::text("status", "What is going on, and the first stage at which nodes are missing", |row, at| {
        let (health, text) = row.state(at);
        Value::Status(health, text.into())
    })
    .joined()
    .rank(0),
    Column::text("asg", "The Auto Scaling group behind it", |row, _| {
        row.asg.as_ref().map_or(Value::Unknown, |asg| Value::text(&asg.name))
    })
    .wide(),
    Column::text("image", "Release of the node image", |row, _| {
        if row.release.own.is_empty() { Value::Unknown } else { Value::text(&row.release.own) }
    })
    .wide(),
    Column::text("suspended", "Processes of the Auto Scaling group that somebody suspended", |row, _| match &row.asg {
        Some(asg) if !asg.suspended.is_empty() => Value::Text(asg.suspended.join(",").into()),
        Some(_) => Value::none(),
        None => Value::Unknown,
    })
    .wide(),
    Column::number("asked", "Time since AWS said so", |row, _| match row.at {
        0 => Value::Unknown,
        at => Value::Since(at),
    })
    .wide(),
    Column::LABELS,
    Column::AGE.rank(6),
];

impl Release {
    fn value(&self) -> Value<'_> {
        match (self.drifted, &self.newest) {
            (Some(0), _) => Value::text("current"),
            (Some(nodes), _) => Value::Status(Health::Warn, format!("drifted {nodes}").into()),
            (None, Some(newest)) if *newest == self.own => Value::text("current"),
            (None, Some(newest)) => match (day(&self.own), day(newest)) {
                (Some(own), Some(newest)) if newest > own => {
                    Value::Status(Health::Warn, format!("{}d behind", newest - own).into())
                }
                _ => Value::Status(Health::Warn, "behind".into()),
            },
            (None, None) if self.own.starts_with("ami-") => Value::text(&self.own),
            (None, None) => Value::Unknown,
        }
    }
}

/// The day of `1.33.4-20260815`, in days since 1970.
fn day(release: &str) -> Option<i64> {
    let (_, date) = release.rsplit_once('-')?;
    let date = jiff::civil::Date::strptime("%Y%m%d", date).ok()?;
    let start = jiff::civil::Date::constant(1970, 1, 1);
    date.since((jiff::Unit::Day, start)).ok().map(|span| i64::from(span.get_days()))
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
        joins: &["nodes", "pods"],
    };
    const ORIGIN: Origin = Origin::Aws;

    fn columns() -> &'static [Column] {
        COLUMNS
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
        if let Some((_, row)) = new.filter(|(_, row)| row.place.is_some()) {
            joins.prices = Arc::clone(&row.prices);
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
