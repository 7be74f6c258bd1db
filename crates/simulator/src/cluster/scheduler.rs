//! Which node takes a pod: what it asks for, held against what nodes have left, by the rules of the default scheduler.
//!
//! Pure: it decides and explains, in the scheduler's own words; others bind. Knows no HTTP and no time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node::Facts;
use super::workload::Workload;

/// What a pod asks of a node.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Millicores, MiB and GPUs.
    pub cpu: u32,
    pub memory_mib: u32,
    pub gpus: u32,
    selector: Vec<(String, String)>,
    /// Terms of required node affinity: one must hold whole.
    terms: Vec<Vec<Requirement>>,
    tolerations: Vec<Toleration>,
    /// No two of its workload on one node.
    apart: bool,
    /// Waits until something takes its scheduling gates away.
    pub gated: bool,
}

/// What a label of a node must be.
#[derive(Debug, Clone)]
pub struct Requirement {
    pub key: String,
    pub operator: String,
    pub values: Vec<String>,
}

#[derive(Debug, Clone)]
struct Toleration {
    /// Empty: every one.
    key: String,
    /// `None`: any value.
    value: Option<String>,
    effect: String,
}

/// What the pods on a node ask for together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub cpu: u32,
    pub memory_mib: u32,
    pub gpus: u32,
    pub pods: u32,
}

impl Used {
    pub fn add(&mut self, needs: &Needs) {
        self.cpu += needs.cpu;
        self.memory_mib += needs.memory_mib;
        self.gpus += needs.gpus;
        self.pods += 1;
    }

    pub fn remove(&mut self, needs: &Needs) {
        self.cpu = self.cpu.saturating_sub(needs.cpu);
        self.memory_mib = self.memory_mib.saturating_sub(needs.memory_mib);
        self.gpus = self.gpus.saturating_sub(needs.gpus);
        self.pods = self.pods.saturating_sub(1);
    }
}

/// A node as the scheduler sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub name: &'a str,
    pub facts: &'a Facts,
    pub cordoned: bool,
    pub used: Used,
    /// Pods of the same workload on it, and in its zone.
    pub alike: u32,
    pub alike_in_zone: u32,
}

/// Why a node does not take a pod.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    reasons: Vec<String>,
    /// Whether ending other pods could make room.
    preemptable: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

impl Needs {
    pub fn of(workload: &Workload) -> Self {
        let spec = workload.pod_spec();
        let running = workload.containers.iter().chain(workload.init.iter().filter(|container| container.sidecar));
        let (mut cpu, mut memory_mib, mut gpus) = (0, 0, 0);
        for container in running {
            cpu += container.cpu;
            memory_mib += container.memory_mib;
            gpus += container.gpus;
        }
        for first in workload.init.iter().filter(|container| !container.sidecar) {
            cpu = cpu.max(first.cpu);
            memory_mib = memory_mib.max(first.memory_mib);
        }
        let selector = spec["nodeSelector"].as_object().into_iter().flatten();
        let affinity = &spec["affinity"];
        let required = &affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
        let term = |term: &Value| {
            elements(&term["matchExpressions"]).chain(elements(&term["matchFields"])).map(Requirement::of).collect()
        };
        let tolerations = elements(&spec["tolerations"]).map(|one| Toleration {
            key: text(&one["key"]),
            value: (one["operator"] != "Exists").then(|| text(&one["value"])),
            effect: text(&one["effect"]),
        });
        let mut apart = elements(&affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]);
        Self {
            cpu,
            memory_mib,
            gpus,
            selector: selector.map(|(name, value)| (name.clone(), text(value))).collect(),
            terms: elements(required).map(term).collect(),
            tolerations: tolerations.collect(),
            apart: apart.any(|term| term["topologyKey"] == "kubernetes.io/hostname"),
            gated: elements(&spec["schedulingGates"]).next().is_some(),
        }
    }

    /// Whether it may run on a node with this taint, or start there.
    pub fn tolerates(&self, [key, value, effect]: &[String; 3]) -> bool {
        self.tolerations.iter().any(|one| {
            (one.effect.is_empty() || one.effect == *effect)
                && (one.key.is_empty() || one.key == *key)
                && one.value.as_ref().is_none_or(|wanted| wanted == value)
        })
    }

    /// Whether the node selector and the required node affinity choose a node.
    pub fn selects(&self, name: &str, facts: &Facts) -> bool {
        let label = |key: &str| match key {
            "kubernetes.io/hostname" | "metadata.name" => Some(name.to_owned()),
            key => facts.labels.get(key).cloned(),
        };
        self.selector.iter().all(|(key, value)| label(key).as_ref() == Some(value))
            && (self.terms.is_empty()
                || self
                    .terms
                    .iter()
                    .any(|term| term.iter().all(|requirement| requirement.holds(label(&requirement.key).as_ref()))))
    }

    fn refusal(&self, node: &Candidate<'_>) -> Option<Refusal> {
        let final_word = |reason: String| Some(Refusal { reasons: vec![reason], preemptable: false });
        let unschedulable = ["node.kubernetes.io/unschedulable".to_owned(), String::new(), "NoSchedule".to_owned()];
        if node.cordoned && !self.tolerates(&unschedulable) {
            return final_word("node(s) were unschedulable".into());
        }
        let bad = |taint: &&[String; 3]| taint[2] != "PreferNoSchedule" && !self.tolerates(taint);
        if let Some([key, value, _]) = node.facts.taints.iter().find(bad) {
            return final_word(format!("node(s) had untolerated taint {{{key}: {value}}}"));
        }
        if !self.selects(node.name, node.facts) {
            return final_word("node(s) didn't match Pod's node affinity/selector".into());
        }
        let Facts { cpu, memory_mib, gpus, pods, .. } = *node.facts;
        let mut reasons = Vec::new();
        let mut preemptable = true;
        let mut check = |reason: &str, needed: u32, used: u32, has: u32| {
            if needed > 0 && used + needed > has {
                reasons.push(reason.to_owned());
                preemptable &= needed <= has;
            }
        };
        check("Too many pods", 1, node.used.pods, pods);
        check("Insufficient cpu", self.cpu, node.used.cpu, cpu);
        check("Insufficient memory", self.memory_mib, node.used.memory_mib, memory_mib);
        check("Insufficient nvidia.com/gpu", self.gpus, node.used.gpus, gpus);
        if reasons.is_empty() && self.apart && node.alike > 0 {
            reasons.push("node(s) didn't match pod anti-affinity rules".to_owned());
        }
        (!reasons.is_empty()).then_some(Refusal { reasons, preemptable })
    }
}

impl Requirement {
    /// Of a `NodeSelectorRequirement`.
    pub fn of(value: &Value) -> Self {
        Self {
            key: text(&value["key"]),
            operator: text(&value["operator"]),
            values: elements(&value["values"]).map(text).collect(),
        }
    }

    /// Whether a label with this value meets it.
    pub fn holds(&self, value: Option<&String>) -> bool {
        let listed = value.is_some_and(|value| self.values.contains(value));
        let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
        let bounds = || number(value).zip(number(self.values.first()));
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => bounds().is_some_and(|(value, bound)| value > bound),
            "Lt" => bounds().is_some_and(|(value, bound)| value < bound),
            _ => false,
        }
    }
}

/// The place of the node that takes the pod, or why none does, as the scheduler tells it.
pub fn choose(needs: &Needs, nodes: &[Candidate<'_>]) -> Result<usize, String> {
    let mut best: Option<(u64, usize)> = None;
    let mut refusals = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        if let Some(refusal) = needs.refusal(node) {
            refusals.push(refusal);
            continue;
        }
        // Spread over zones first, then over nodes, then to where most is free.
        let share = |used: u32, has: u32| u64::from(used) * 1000 / u64::from(has.max(1));
        let load = share(node.used.cpu, node.facts.cpu) + share(node.used.memory_mib, node.facts.memory_mib);
        let cost = u64::from(node.alike_in_zone) * 4_000 + u64::from(node.alike) * 2_000 + load;
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, at));
        }
    }
    match best {
        Some((_, at)) => Ok(at),
        None => Err(explain(nodes.len(), &refusals)),
    }
}

fn explain(nodes: usize, refusals: &[Refusal]) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in refusals.iter().flat_map(|refusal| &refusal.reasons) {
        *reasons.entry(reason).or_default() += 1;
    }
    let helpless = refusals.iter().filter(|refusal| !refusal.preemptable).count();
    let mut preemption = BTreeMap::from([
        ("Preemption is not helpful for scheduling", helpless),
        ("No preemption victims found for incoming pod", nodes - helpless),
    ]);
    preemption.retain(|_, count| *count > 0);
    // The scheduler sorts the finished words, numbers and all.
    let told = |counts: &BTreeMap<&str, usize>| {
        let mut told: Vec<_> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        told.sort();
        told.join(", ")
    };
    format!(
        "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: {}.",
        told(&reasons),
        told(&preemption)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(labels: &[(&str, &str)], taints: &[[&str; 3]]) -> Facts {
        Facts {
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            taints: taints.iter().map(|taint| taint.map(str::to_owned)).collect(),
            cpu: 4000,
            memory_mib: 8000,
            gpus: 0,
            pods: 10,
        }
    }

    fn candidate(facts: &Facts) -> Candidate<'_> {
        Candidate { name: "a", facts, cordoned: false, used: Used::default(), alike: 0, alike_in_zone: 0 }
    }

    #[test]
    fn what_no_node_takes_is_explained_as_the_scheduler_does() {
        let (plain, tainted) = (facts(&[], &[]), facts(&[], &[["dedicated", "stateful", "NoSchedule"]]));
        let full = Candidate { used: Used { cpu: 3900, ..Used::default() }, ..candidate(&plain) };
        let nodes = [full, full, candidate(&tainted), Candidate { cordoned: true, ..candidate(&plain) }];
        let needs = Needs { cpu: 500, memory_mib: 100, ..Needs::default() };
        assert_eq!(
            choose(&needs, &nodes).unwrap_err(),
            "0/4 nodes are available: 1 node(s) had untolerated taint {dedicated: stateful}, 1 node(s) were \
             unschedulable, 2 Insufficient cpu. preemption: 0/4 nodes are available: 2 No preemption victims found for \
             incoming pod, 2 Preemption is not helpful for scheduling."
        );
        // What no empty node could give, no preemption gives either.
        let huge = Needs { cpu: 9000, ..Needs::default() };
        assert!(choose(&huge, &nodes[..2]).unwrap_err().ends_with("2 Preemption is not helpful for scheduling."));
        assert_eq!(choose(&needs, &[]).unwrap_err(), "no nodes available to schedule pods");
    }

    #[test]
    fn selectors_affinity_and_tolerations_open_nodes() {
        let spot = facts(&[("capacity", "spot")], &[["gpu", "true", "NoSchedule"]]);
        let needs = Needs {
            selector: vec![("capacity".into(), "spot".into())],
            tolerations: vec![Toleration { key: "gpu".into(), value: Some("true".into()), effect: String::new() }],
            ..Needs::default()
        };
        assert_eq!(choose(&needs, &[candidate(&facts(&[], &[])), candidate(&spot)]), Ok(1));
        let without = Needs { tolerations: Vec::new(), ..needs.clone() };
        assert!(choose(&without, &[candidate(&spot)]).is_err());
        let not_spot = Requirement { key: "capacity".into(), operator: "NotIn".into(), values: vec!["spot".into()] };
        let needs = Needs { terms: vec![vec![not_spot]], ..needs };
        assert!(choose(&needs, &[candidate(&spot)]).unwrap_err().contains("node affinity/selector"));
    }

    #[test]
    fn equals_are_spread_over_zones_before_nodes() {
        let facts = facts(&[], &[]);
        let crowded_zone = Candidate { alike_in_zone: 2, ..candidate(&facts) };
        let busy = Candidate { used: Used { cpu: 3000, ..Used::default() }, ..candidate(&facts) };
        assert_eq!(choose(&Needs::default(), &[crowded_zone, busy]), Ok(1));
        let alone = Needs { apart: true, ..Needs::default() };
        assert!(choose(&alone, &[Candidate { alike: 1, ..busy }]).is_err());
    }
}
