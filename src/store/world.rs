//! The world: everything known of one cluster. The app loop owns it; sources send batches, drawing reads.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::{
    intern::{SlotBySymbol, Sym, Symbols},
    table::{Covers, Rows, Table},
    usage::{Reading, Usage},
    wishes::Wishes,
};
use crate::kinds::{self, ColumnInfo, HasId, Kind, KindId, KindInfo, nodeclaim::Claims, nodegroup::Prices};

/// What pods come to together: on a node, in a namespace, of a workload. Kept as pods come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub pods: u32,
    /// Not finished and not ready.
    pub unready: u32,
    /// Bad or to be warned of: what "faults only" shows.
    pub faults: u32,
    pub requests: Amounts,
    pub limits: Amounts,
}

impl Totals {
    pub fn add(&mut self, other: &Totals) {
        self.pods += other.pods;
        self.unready += other.unready;
        self.faults += other.faults;
        self.requests.add(other.requests);
        self.limits.add(other.limits);
    }

    pub fn subtract(&mut self, other: &Totals) {
        self.pods = self.pods.saturating_sub(other.pods);
        self.unready = self.unready.saturating_sub(other.unready);
        self.faults = self.faults.saturating_sub(other.faults);
        self.requests.subtract(other.requests);
        self.limits.subtract(other.limits);
    }
}

/// Whose pods [`Joins::of_workload`] adds up: namespace, kind and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkloadKey {
    pub namespace: Sym,
    pub kind: KindId,
    pub name: Sym,
}

/// CPU in thousandths, memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    pub cpu: u64,
    pub memory: u64,
}

impl Amounts {
    pub fn add(&mut self, other: Amounts) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
    }

    pub fn subtract(&mut self, other: Amounts) {
        self.cpu = self.cpu.saturating_sub(other.cpu);
        self.memory = self.memory.saturating_sub(other.memory);
    }
}

/// What one table knows of another, kept incrementally by the kinds' `joined` hooks.
#[derive(Debug, Default)]
pub struct Joins {
    /// Slot of a node by its name.
    pub nodes: SlotBySymbol,
    /// Slots of the nodes whose labels name a group.
    pub labelled: HashMap<Sym, Vec<u32>>,
    /// Slot of a node by the EC2 instance that it is.
    pub instances: SlotBySymbol,
    /// What AWS charges, as its newest rows have it.
    pub prices: Arc<Prices>,
    /// The group of an instance, as AWS has it.
    pub group_of: HashMap<Sym, Sym>,
    /// What Karpenter's claims come to for each pool.
    pub claims: HashMap<Sym, Claims>,
    /// Placed pods that have not finished, as `kubectl describe node` counts.
    pub on_node: HashMap<Sym, Totals>,
    /// The pods of all nodes together.
    pub on_nodes: Totals,
    /// What all nodes offer, how many are ready, and how many there are.
    pub allocatable: Amounts,
    pub nodes_ready: usize,
    /// Every pod of a namespace.
    pub in_namespace: HashMap<Sym, Totals>,
    /// Every pod of a workload; of a deployment, those of its replica sets.
    pub of_workload: HashMap<WorkloadKey, Totals>,
    versions: HashMap<KindId, u64>,
    /// Counts what changes every kind's joined columns.
    version: u64,
}

impl Joins {
    /// Says that joined columns of a kind may have changed.
    pub fn bump(&mut self, kind: KindId) {
        *self.versions.entry(kind).or_default() += 1;
    }

    /// Says that joined columns of every kind may have changed.
    pub fn bump_all(&mut self) {
        self.version += 1;
    }

    pub fn version(&self, kind: KindId) -> u64 {
        self.version + self.versions.get(&kind).copied().unwrap_or_default()
    }
}

/// Which rows of a kind have been listed to the end.
#[derive(Debug, Default)]
struct Whole {
    all: bool,
    namespaces: HashSet<String>,
}

/// One cluster's state.
pub struct World {
    pub symbols: Symbols,
    pub joins: Joins,
    pub usage: Usage,
    pub wishes: Wishes,
    tables: Vec<Box<dyn Rows>>,
    kinds: Vec<KindInfo>,
    whole: HashMap<KindId, Whole>,
}

impl Default for World {
    fn default() -> Self {
        let (kinds, tables) = kinds::registry();
        Self {
            symbols: Symbols::default(),
            joins: Joins::default(),
            usage: Usage::default(),
            wishes: Wishes::default(),
            tables,
            kinds,
            whole: HashMap::new(),
        }
    }
}

impl World {
    /// The typed table of a kind with its own file.
    #[expect(clippy::expect_used, reason = "the registry makes the tables in the order of the ids")]
    pub fn table<K: Kind + HasId>(&self) -> &Table<K> {
        self.tables[K::ID.index()].as_any().downcast_ref().expect("the table of this kind")
    }

    pub fn rows(&self, kind: KindId) -> &dyn Rows {
        &*self.tables[kind.index()]
    }

    pub fn rows_mut(&mut self, kind: KindId) -> &mut dyn Rows {
        &mut *self.tables[kind.index()]
    }

    pub fn kind(&self, kind: KindId) -> &KindInfo {
        &self.kinds[kind.index()]
    }

    /// Every kind, but for those of others that the server no longer has.
    pub fn kinds(&self) -> impl Iterator<Item = (KindId, &KindInfo)> {
        let all = self.kinds.iter().enumerate().map(|(index, info)| (KindId::new(index), info));
        all.filter(|(_, info)| info.own || info.served)
    }

    /// Takes in all that discovery says, and gives the kinds that are gone. `silent` are groups that did not answer:
    /// nothing follows from that.
    pub fn set_kinds(&mut self, served: Vec<KindInfo>, silent: &[String]) -> Vec<KindId> {
        let seen: HashSet<KindId> = served.into_iter().map(|info| self.add_kind(info)).collect();
        let mut gone = Vec::new();
        for (index, info) in self.kinds.iter_mut().enumerate() {
            let kind = KindId::new(index);
            if info.served && !seen.contains(&kind) && !silent.iter().any(|group| *group == info.group) {
                info.served = false;
                gone.push(kind);
            }
        }
        gone
    }

    /// Takes in what discovery says of a kind: a new one gets a table, of a known one the server's word counts.
    fn add_kind(&mut self, info: KindInfo) -> KindId {
        let known = self.kinds.iter().position(|kind| kind.group == info.group && kind.plural == info.plural);
        let Some(index) = known else {
            self.kinds.push(info);
            self.tables.push(Box::new(Table::<kinds::generic::Generic>::default()));
            return KindId::new(self.kinds.len() - 1);
        };
        let kind = &mut self.kinds[index];
        if !kind.own {
            kind.kind.clone_from(&info.kind);
            kind.version.clone_from(&info.version);
            kind.namespaced = info.namespaced;
        }
        kind.served = true;
        kind.watchable = info.watchable;
        kind.verbs = info.verbs;
        for alias in info.aliases {
            if !kind.aliases.contains(&alias) {
                kind.aliases.push(alias);
            }
        }
        KindId::new(index)
    }

    /// Takes over columns that the server decided; rows that were made for others are gone.
    pub fn set_columns(&mut self, kind: KindId, columns: Vec<ColumnInfo>) {
        self.tables[kind.index()].set_columns(columns, &mut self.joins);
    }

    /// Applies one batch.
    pub fn apply(&mut self, kind: KindId, changes: Box<dyn std::any::Any + Send>, epoch: u32) {
        self.tables[kind.index()].apply(changes, epoch, &mut self.joins);
    }

    /// Takes in what metrics.k8s.io says of a kind.
    pub fn measure(&mut self, kind: KindId, reading: Reading) {
        if self.usage.read(kind, reading, &*self.tables[kind.index()], &self.symbols) {
            self.joins.bump(kind);
        }
    }

    /// Ends a list: what it did not mention is gone.
    pub fn sweep(&mut self, kind: KindId, covers: &Covers, epoch: u32) {
        self.tables[kind.index()].sweep(covers, epoch, &self.symbols, &mut self.joins);
        let whole = self.whole.entry(kind).or_default();
        let news = match covers {
            Covers::All => !std::mem::replace(&mut whole.all, true),
            Covers::Namespace(name) => whole.namespaces.insert(name.clone()),
            Covers::Object { .. } => false,
        };
        if news {
            self.joins.bump_all();
        }
    }

    /// Drops rows that nobody answers for any more; what they added up to is not whole from now on.
    pub fn forget(&mut self, kind: KindId, covers: &Covers) {
        self.tables[kind.index()].sweep(covers, u32::MAX, &self.symbols, &mut self.joins);
        if let Some(whole) = self.whole.get_mut(&kind) {
            match covers {
                Covers::All => *whole = Whole::default(),
                Covers::Namespace(name) => {
                    whole.namespaces.remove(name);
                }
                Covers::Object { .. } => {}
            }
        }
        self.joins.bump_all();
    }

    /// Whether all rows of a kind have come, of one namespace or (`None`) of all: only then is a sum over them true.
    pub fn is_whole(&self, kind: KindId, namespace: Option<&str>) -> bool {
        self.whole
            .get(&kind)
            .is_some_and(|whole| whole.all || namespace.is_some_and(|namespace| whole.namespaces.contains(namespace)))
    }

    /// Merges what came since the last frame.
    pub fn settle(&mut self) {
        for table in &mut self.tables {
            table.settle(&self.symbols);
        }
    }
}
