//! What follows for a group from itself and the other tables: its nodes, how far its wish has come, what it costs, what
//! is going on. Unknown stays unknown.

use super::{Asg, Autoscaler, Funnel, Hourly, Instance, Make, Row, Stage};
use crate::{
    kinds::{
        At, HasId,
        node::{self, Node},
        nodeclaim::{Claims, NodeClaim},
        pod::Pod,
    },
    store::{
        intern::Sym,
        table::Rows,
        value::{Health, Value},
        world::{Amounts, World},
    },
};

impl Row {
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
        let (registered, ready) = if world.is_whole(Node::ID, None) {
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
                let launched = self.claims(world).map(|claims| claims.launched).or(self.claimed);
                (self.desired.map_or(Stage::None, Stage::Count), Stage::None, known(launched))
            }
            (Make::Fargate, _) => {
                // A node for each pod: there is nothing to come from a wish to.
                let none = Stage::None;
                return Funnel { eks: none, asg: none, instances: none, registered: none, ready: none };
            }
        };
        Funnel { eks, asg, instances, registered, ready }
    }

    /// What Karpenter's claims of this pool come to; none while they are not all known.
    pub fn claims(&self, world: &World) -> Option<Claims> {
        let pool = matches!(self.make, Make::Karpenter | Make::Auto);
        (pool && world.is_whole(NodeClaim::ID, None)).then(|| world.joins.claims.get(&self.name).copied().unwrap_or_default())
    }

    /// Pods that run on it.
    pub fn pods(&self, world: &World) -> Option<u32> {
        if !world.is_whole(Pod::ID, None) || !world.is_whole(Node::ID, None) {
            return None;
        }
        if self.make == Make::Fargate {
            return Some(self.pods_of_profile(world));
        }
        let on = |name| world.joins.on_node.get(&name).map_or(0, |totals| totals.pods);
        Some(self.nodes(world).into_iter().map(|(name, _)| on(name)).sum())
    }

    /// Pods that Fargate runs for this profile, by their label: the nodes do not tell.
    fn pods_of_profile(&self, world: &World) -> u32 {
        let (pods, symbols) = (world.table::<Pod>(), &world.symbols);
        let Some(key) = symbols.find("eks.amazonaws.com/fargate-profile") else { return 0 };
        let mine = |id: &u32| {
            pods.get(*id).is_some_and(|(meta, pod)| {
                pod.counted && symbols.labels(meta.labels).contains(&(key, self.name))
            })
        };
        let count = (0..u32::try_from(pods.slots()).unwrap_or(u32::MAX)).filter(mine).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// What its pods ask for and what its nodes offer; none while not all of them are known.
    pub(super) fn load(&self, world: &World) -> Option<(Amounts, Amounts)> {
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
                // Nothing costs nothing, however it would be bought.
                let spot = if asg.instances.is_empty() { false } else { self.spot? };
                self.prices.sum(asg.instances.iter().map(of), spot)
            }
            // Of a group whose instances nobody sees there may be more than have registered.
            None if self.make == Make::Karpenter && world.is_whole(Node::ID, None) => {
                let mut sum = Hourly::default();
                for (_, node) in self.nodes(world) {
                    sum.add(Node::hourly(node, world)?);
                }
                Some(sum)
            }
            None => None,
        }
    }

    /// `m6i.large +3`.
    pub(super) fn types<'a>(&'a self, world: &'a World) -> Value<'a> {
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

    pub(super) fn state(&self, at: &At<'_>) -> (Health, String) {
        let funnel = self.funnel(at.world);
        let mut words = Vec::new();
        let mut health = Health::Ok;
        let mut say = |of: Health, text: String| {
            health = health.min(of);
            words.push(text);
        };
        if let Some(flight) = at.world.wishes.flight(at.meta.uid) {
            let size = flight.to.desired.unwrap_or_default();
            let word = if flight.accepted { "scaling to" } else { "asking for" };
            say(Health::Progressing, format!("{word} {size}"));
        }
        match &*self.status {
            "ACTIVE" | "" => {}
            "UPDATING" | "CREATING" | "DELETING" => {
                // The id of an update is in the dialog and among the activities.
                let update = self.update.as_deref().and_then(|update| update.split(' ').next());
                say(Health::Progressing, update.map_or_else(|| self.status.to_lowercase(), str::to_owned));
            }
            // It stays until a later launch succeeds, whatever has become of the cause.
            "DEGRADED" => match self.recovered {
                Some(_) => say(Health::Warn, "degraded, though launches succeed again".to_owned()),
                None => say(Health::Warn, "degraded".to_owned()),
            },
            "CREATE_FAILED" | "DELETE_FAILED" => say(Health::Bad, self.status.to_lowercase().replace('_', " ")),
            other => say(Health::Unknown, other.to_lowercase()),
        }
        if let Some((_, failure)) = &self.failure {
            say(Health::Bad, failure.clone());
        }
        if let Some(claims) = self.claims(at.world) {
            let waiting = claims.all - claims.launched.min(claims.all);
            if waiting > 0 {
                say(Health::Progressing, format!("launching {waiting}"));
            }
            if claims.leaving > 0 {
                say(Health::Progressing, format!("leaving {}", claims.leaving));
            }
        }
        match (funnel.gap(), self.claims(at.world)) {
            (Some((of, gap)), _) => say(of, gap),
            // A node that is ready may lack what it should offer, or have a taint of its start.
            (None, Some(claims)) if claims.initialized < claims.launched => {
                say(Health::Progressing, format!("initializing {}", claims.launched - claims.initialized));
            }
            _ => {}
        }
        if let Some(asg) = &self.asg {
            let halts = asg.suspended.iter().filter(|process| matches!(process.as_str(), "Launch" | "Terminate"));
            for process in halts {
                say(Health::Warn, format!("{process} is suspended"));
            }
        }
        if let Some(refresh) = &self.refresh {
            say(Health::Progressing, refresh.clone());
        }
        if let Autoscaler::Runs { backoff: Some(why) } = &self.autoscaler {
            say(Health::Warn, format!("cluster-autoscaler holds off: {why}"));
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

