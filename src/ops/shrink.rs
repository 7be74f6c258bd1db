//! Which nodes of a group could go with the least harm: what evicting their pods would meet, and what they cost. A
//! preview: nothing is evicted here. The server's rules are those of its eviction registry (`storage/eviction.go`): one
//! budget may lend so many disruptions, two budgets on one pod never let it go.

/// A budget and how many pods it lets go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// `namespace/name`
    pub name: String,
    pub allowed: u32,
}

/// A pod that would have to be evicted: neither finished, nor a daemon's, nor the kubelet's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Nothing makes it anew elsewhere.
    pub bare: bool,
    /// The budgets that guard it, as indices.
    pub budgets: Vec<usize>,
}

/// A node that might go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidate {
    pub name: String,
    /// EC2's id; empty where it is not known.
    pub instance: String,
    pub zone: String,
    /// Dollars an hour.
    pub price: Option<f64>,
    pub pods: Vec<Held>,
}

/// What going would mean for one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Its place among the candidates.
    pub node: usize,
    pub pods: usize,
    pub bare: usize,
    /// Pods that have to wait until others are ready elsewhere.
    pub waiting: usize,
    /// Pods that two budgets guard: evicting them always fails.
    pub stuck: usize,
    /// The budget that holds up most.
    pub by: Option<String>,
}

/// The nodes in the order in which they had better go: those whose pods all may, the fewest pods first, the dearest
/// node first among equals.
pub fn rank(nodes: &[Candidate], budgets: &[Budget]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = nodes.iter().enumerate().map(|(node, it)| verdict(node, it, budgets)).collect();
    let price = |verdict: &Verdict| nodes[verdict.node].price.unwrap_or_default();
    verdicts.sort_by(|a, b| {
        let harm = |it: &Verdict| (it.stuck, it.bare, it.waiting, it.pods);
        harm(a)
            .cmp(&harm(b))
            .then_with(|| price(b).total_cmp(&price(a)))
            .then_with(|| nodes[a.node].name.cmp(&nodes[b.node].name))
    });
    verdicts
}

fn verdict(node: usize, candidate: &Candidate, budgets: &[Budget]) -> Verdict {
    let mut asked = vec![0_u32; budgets.len()];
    let mut verdict = Verdict { node, pods: candidate.pods.len(), bare: 0, waiting: 0, stuck: 0, by: None };
    for pod in &candidate.pods {
        verdict.bare += usize::from(pod.bare);
        match pod.budgets[..] {
            [] => {}
            [budget] => asked[budget] += 1,
            _ => verdict.stuck += 1,
        }
    }
    let over = |(asked, budget): (&u32, &Budget)| (asked.saturating_sub(budget.allowed), budget.name.clone());
    let over: Vec<(u32, String)> = asked.iter().zip(budgets).map(over).filter(|(over, _)| *over > 0).collect();
    verdict.waiting = over.iter().map(|(over, _)| *over as usize).sum();
    verdict.by = over.into_iter().max_by_key(|(over, _)| *over).map(|(_, name)| name);
    verdict
}

impl Verdict {
    /// `12 pods, 3 wait for payments/api, 1 for good`.
    pub fn words(&self) -> String {
        let mut words = vec![match self.pods {
            0 => "no pods that would have to move".to_owned(),
            1 => "1 pod moves".to_owned(),
            pods => format!("{pods} pods move"),
        }];
        if let Some(by) = &self.by {
            words.push(format!("{} when {by} lets them", self.waiting));
        }
        if self.stuck > 0 {
            words.push(format!("{} never: two budgets guard them", self.stuck));
        }
        if self.bare > 0 {
            words.push(format!("{} for good: nothing makes them anew", self.bare));
        }
        words.join(", ")
    }
}

/// How uneven the zones are without the chosen nodes, in words, where Auto Scaling would even them out by ending another.
pub fn uneven(nodes: &[Candidate], chosen: &[usize]) -> Option<String> {
    let mut zones: Vec<(&str, usize)> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let stays = usize::from(!chosen.contains(&index));
        match zones.iter_mut().find(|(zone, _)| *zone == node.zone) {
            Some((_, count)) => *count += stays,
            None => zones.push((&node.zone, stays)),
        }
    }
    zones.sort_unstable();
    let counts = zones.iter().map(|(_, count)| *count);
    let (most, least) = (counts.clone().max()?, counts.min()?);
    let words: Vec<String> = zones.iter().map(|(zone, count)| format!("{} {count}", short(zone))).collect();
    (most - least >= 2).then(|| words.join(", "))
}

/// `eu-west-1a` is `1a` to everybody who is there.
pub fn short(zone: &str) -> &str {
    zone.rsplit('-').next().unwrap_or(zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets() -> Vec<Budget> {
        let budget = |name: &str, allowed| Budget { name: name.to_owned(), allowed };
        vec![budget("payments/api", 1), budget("payments/never", 0)]
    }

    fn node(name: &str, zone: &str, price: f64, pods: &[&[usize]]) -> Candidate {
        let held = |budgets: &&[usize]| Held { bare: false, budgets: budgets.to_vec() };
        Candidate {
            name: name.to_owned(),
            zone: zone.to_owned(),
            price: Some(price),
            pods: pods.iter().map(held).collect(),
            ..Candidate::default()
        }
    }

    fn order(nodes: &[Candidate]) -> Vec<&str> {
        rank(nodes, &budgets()).iter().map(|verdict| &*nodes[verdict.node].name).collect()
    }

    #[test]
    fn who_does_the_least_harm_goes_first_and_of_equals_the_dearest() {
        let mut bare = node("bare", "a", 0.1, &[&[]]);
        bare.pods[0].bare = true;
        let nodes = [
            node("two-budgets", "a", 0.1, &[&[0, 1]]),
            bare,
            node("waits", "a", 0.1, &[&[0], &[0]]),
            node("busy", "a", 0.1, &[&[], &[], &[0]]),
            node("cheap", "a", 0.1, &[&[]]),
            node("dear", "a", 0.2, &[&[]]),
            node("empty", "a", 0.1, &[]),
        ];
        assert_eq!(order(&nodes), ["empty", "dear", "cheap", "busy", "waits", "bare", "two-budgets"]);
    }

    #[test]
    fn a_budget_lends_what_it_has_and_no_more() {
        let words = |pods: &[&[usize]]| rank(&[node("n", "a", 0.1, pods)], &budgets()).remove(0).words();
        assert_eq!(words(&[]), "no pods that would have to move");
        assert_eq!(words(&[&[0]]), "1 pod moves");
        assert_eq!(words(&[&[0], &[0], &[0], &[]]), "4 pods move, 2 when payments/api lets them");
        assert_eq!(words(&[&[1]]), "1 pod moves, 1 when payments/never lets them");
        assert_eq!(words(&[&[0, 1], &[]]), "2 pods move, 1 never: two budgets guard them");
    }

    #[test]
    fn zones_that_would_be_uneven_are_named() {
        let nodes = [
            node("1", "eu-west-1a", 0.1, &[]),
            node("2", "eu-west-1a", 0.1, &[]),
            node("3", "eu-west-1b", 0.1, &[]),
            node("4", "eu-west-1b", 0.1, &[]),
        ];
        assert_eq!(uneven(&nodes, &[2]), None);
        assert_eq!(uneven(&nodes, &[2, 3]).as_deref(), Some("1a 2, 1b 0"));
        assert_eq!(uneven(&nodes, &[0, 2]), None);
    }
}
