//! The safe way down: which nodes had better go, and the commands that drain them and end them with decrement. Gathers
//! what the planner (`ops::shrink`) needs from the tables; unknown where one of them is not whole.

use std::collections::HashMap;

use crate::{
    kinds::{
        HasId,
        node::Node,
        nodegroup::{Make, Row},
        pod::Pod,
        poddisruptionbudget::PodDisruptionBudget,
    },
    ops::{
        scale::{self, Line},
        shrink::{self, Budget, Candidate, Held},
    },
    store::{intern::Sym, query::Selector, table::Rows, value::Health, world::World},
};

/// Nodes that are told one by one.
const TOLD: usize = 3;

/// What the safe way would be.
#[derive(Debug, PartialEq)]
pub struct Safe {
    pub lines: Vec<Line>,
    /// For a shell; empty where an instance is not known.
    pub command: String,
}

/// The safe way for so many nodes fewer; none where there is nothing to choose: Karpenter chooses for itself, and its way
/// is safe.
pub fn way(world: &World, row: &Row, fewer: u32, context: &str) -> Option<Safe> {
    if fewer == 0 || !matches!(row.make, Make::Managed | Make::Own) {
        return None;
    }
    let line = |health, text: String| Line { label: "safer", health, text };
    let Some((nodes, budgets)) = candidates(world, row) else {
        let text = "not known: nodes, pods or their disruption budgets have not all come".to_owned();
        return Some(Safe { lines: vec![line(Health::Unknown, text)], command: String::new() });
    };
    let ranked = shrink::rank(&nodes, &budgets);
    let chosen = &ranked[..ranked.len().min(fewer as usize)];
    if chosen.is_empty() {
        return None;
    }
    let mut lines: Vec<Line> = chosen
        .iter()
        .take(TOLD)
        .map(|verdict| {
            let node = &nodes[verdict.node];
            let zone = Some(shrink::short(&node.zone).to_owned()).filter(|zone| !zone.is_empty());
            let price = node.price.map(|price| format!("${price:.3}/h"));
            let facts: Vec<String> = zone.into_iter().chain(price).collect();
            let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
            let held_up = verdict.waiting + verdict.stuck + verdict.bare > 0;
            let health = if held_up { Health::Warn } else { Health::Ok };
            line(health, format!("{}{facts}: {}", node.name, verdict.words()))
        })
        .collect();
    if chosen.len() > TOLD {
        lines.push(line(Health::Ok, format!("and {} more", chosen.len() - TOLD)));
    }
    let indices: Vec<usize> = chosen.iter().map(|verdict| verdict.node).collect();
    let balances = row.asg.as_ref().is_some_and(|asg| !asg.suspended.iter().any(|process| process == "AZRebalance"));
    if let Some(zones) = shrink::uneven(&nodes, &indices).filter(|_| balances) {
        let text = format!("that leaves {zones}: AZRebalance may end another node to even it out");
        lines.push(line(Health::Warn, text));
    }
    let command = commands(row, &indices.iter().map(|&index| &nodes[index]).collect::<Vec<_>>(), context);
    if !command.is_empty() {
        lines.push(line(Health::Ok, "d copies the commands that drain them and end them".to_owned()));
    }
    Some(Safe { lines, command })
}

fn commands(row: &Row, nodes: &[&Candidate], context: &str) -> String {
    if nodes.iter().any(|node| node.instance.is_empty()) {
        return String::new();
    }
    let one = |node: &&Candidate| {
        let drain =
            ["kubectl", "--context", context, "drain", &node.name, "--ignore-daemonsets", "--delete-emptydir-data"];
        let end = ["aws", "autoscaling", "terminate-instance-in-auto-scaling-group", "--instance-id", &node.instance];
        let end = end.into_iter().chain(["--should-decrement-desired-capacity"]);
        format!("{} && {}", scale::shell(drain), scale::shell(end.chain(scale::place(row))))
    };
    nodes.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// The group's nodes with the pods that would have to move, and the budgets that guard those.
fn candidates(world: &World, row: &Row) -> Option<(Vec<Candidate>, Vec<Budget>)> {
    let whole = [Node::ID, Pod::ID, PodDisruptionBudget::ID].iter().all(|kind| world.is_whole(*kind, None));
    if !whole {
        return None;
    }
    let text = |sym: Sym| world.symbols.get(sym);
    let mut places = HashMap::new();
    let mut nodes = Vec::new();
    for (name, node) in row.nodes(world) {
        places.insert(name, nodes.len());
        nodes.push(Candidate {
            name: text(name).to_owned(),
            instance: text(node.instance).to_owned(),
            zone: text(node.zone).to_owned(),
            price: Node::hourly(node, world).map(|hourly| hourly.dollars),
            pods: Vec::new(),
        });
    }
    let table = world.table::<PodDisruptionBudget>();
    let mut budgets = Vec::new();
    let mut guards: HashMap<Sym, Vec<(usize, Option<Selector>)>> = HashMap::new();
    for &id in table.natural() {
        let Some((meta, budget)) = table.get(id) else { continue };
        let selector = match text(budget.selector) {
            // It guards nothing.
            "" => continue,
            "<none>" => None,
            selector => Some(Selector::parse(selector).ok()?),
        };
        guards.entry(meta.namespace).or_default().push((budgets.len(), selector));
        budgets.push(Budget { name: format!("{}/{}", text(meta.namespace), table.name(id)), allowed: budget.allowed });
    }
    let pods = world.table::<Pod>();
    for &id in pods.natural() {
        let Some((meta, pod)) = pods.get(id).filter(|(_, pod)| pod.counted) else { continue };
        let Some(&place) = places.get(&pod.node) else { continue };
        let owner = text(meta.owner_kind);
        // They go with their node: a daemon's come back with the next, the kubelet's own are its own.
        if matches!(owner, "DaemonSet" | "Node") {
            continue;
        }
        let labels = world.symbols.labels(meta.labels);
        let label = |key: &str| labels.iter().find(|(name, _)| text(*name) == key).map(|(_, value)| text(*value));
        let guarding = guards.get(&meta.namespace).into_iter().flatten();
        let guarding = guarding.filter(|(_, selector)| selector.as_ref().is_none_or(|it| it.matches(label)));
        let budgets = guarding.map(|(budget, _)| *budget).collect();
        nodes[place].pods.push(Held { bare: owner.is_empty(), budgets });
    }
    Some((nodes, budgets))
}
