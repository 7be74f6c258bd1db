//! All clusters that are known: what AWS said of them, account by account and region by region, and what the kubeconfig
//! says, matched with each other. Kept while one cluster after another is shown. Asks nobody; see `sources::aws::fleet`.

use std::collections::{BTreeMap, HashMap};

use crate::{
    kinds::{self, cluster::Row},
    problem::Problem,
    sources::{
        aws::{
            AwsSession,
            eks::{Cluster, ClusterVersion},
            fleet::{Cell, Key, News, Watched, rows},
            standing::Claim,
        },
        kube::session::Known,
    },
    store::{
        stream::StreamState,
        table::{Change, Changes, Meta, Span, Uid},
    },
};

/// What stands in the place of names that nobody could tell.
const NAMELESS: &str = "?";

#[derive(Default)]
pub struct Fleet {
    contexts: Vec<Known>,
    cells: BTreeMap<Cell, Answers>,
    /// What the rows are about, and the context that leads there.
    targets: HashMap<Uid, (Target, Option<String>)>,
    state: StreamState,
    /// Why nobody is asked.
    off: Option<Problem>,
    pub watched: Watched,
    /// All clusters are printed, and not only those on screen.
    pub shows_everything: bool,
    epoch: u32,
}

/// What a cell said.
#[derive(Default)]
struct Answers {
    /// The profile that asked.
    who: String,
    session: Option<AwsSession>,
    failure: Option<Problem>,
    clusters: BTreeMap<String, Seen>,
    versions: Option<Result<Vec<ClusterVersion>, String>>,
}

/// One cluster as EKS has it. What could not be asked this time is as it was, with its age.
#[derive(Default)]
struct Seen {
    cluster: Option<Box<Cluster>>,
    doubt: Option<String>,
    desired: Option<Result<u32, String>>,
    at: i64,
}

/// What a row is about.
enum Target {
    Cluster(Key),
    /// Of the kubeconfig alone.
    Contexts,
    Cell(Cell),
}

/// How to connect to a cluster.
pub enum Way<'a> {
    Context(String),
    Eks(&'a Cluster, &'a AwsSession),
}

/// What there is to read about a row.
pub enum Page<'a> {
    Cluster { cluster: &'a Cluster, session: Option<&'a AwsSession> },
    Problem(Problem),
}

impl Fleet {
    /// Nobody is to be asked; the kubeconfig's clusters are all there is.
    pub fn switch_off(&mut self, why: Problem) {
        self.state = StreamState::Off(why.clone());
        self.off = Some(why);
    }

    pub fn set_contexts(&mut self, contexts: Vec<Known>) {
        self.contexts = contexts;
    }

    pub fn next_epoch(&mut self) -> u32 {
        self.epoch += 1;
        self.epoch
    }

    /// Takes in what has become known.
    pub fn hear(&mut self, news: News) {
        match news {
            News::Open(0) => self.state = StreamState::Live,
            News::Open(_) => {
                let loaded = self.cells.values().map(|cell| cell.clusters.len()).sum();
                self.state = StreamState::Loading { loaded, about: None };
            }
            News::Names { cell, who, session, names } => {
                let cell = self.cells.entry(cell).or_default();
                cell.clusters.retain(|name, _| names.contains(name));
                for name in names {
                    cell.clusters.entry(name).or_default();
                }
                (cell.who, cell.session, cell.failure) = (who, Some(session), None);
            }
            News::Failed { cell, who, why } => {
                let cell = self.cells.entry(cell).or_default();
                (cell.who, cell.failure) = (who, Some(why));
            }
            News::Described { key, answer, at } => {
                let Some(seen) = self.seen_mut(&key) else { return };
                match answer {
                    Ok(cluster) => (seen.cluster, seen.doubt, seen.at) = (Some(cluster), None, at),
                    Err(doubt) => seen.doubt = Some(doubt),
                }
            }
            News::Desired { key, answer, .. } => {
                if let Some(seen) = self.seen_mut(&key) {
                    seen.desired = Some(answer);
                }
            }
            News::Versions { cell, answer } => self.cells.entry(cell).or_default().versions = Some(answer),
        }
    }

    fn seen_mut(&mut self, key: &Key) -> Option<&mut Seen> {
        self.cells.get_mut(&key.cell)?.clusters.get_mut(&key.name)
    }

    /// Every cluster that EKS has, as far as anybody could tell.
    fn seen(&self) -> impl Iterator<Item = (&Cell, &Answers, &String, &Seen)> {
        let cells = self.cells.iter();
        cells.flat_map(|(cell, answers)| answers.clusters.iter().map(move |(name, seen)| (cell, answers, name, seen)))
    }

    pub fn state(&self) -> &StreamState {
        &self.state
    }

    /// Whether everybody has answered once.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, StreamState::Live | StreamState::Off(_))
    }

    /// Whether all that is asked has come; an error where that is nothing but refusals.
    pub fn is_printable(&self) -> Result<bool, Problem> {
        if !self.is_complete() {
            return Ok(false);
        }
        if self.seen().next().is_none()
            && self.contexts.is_empty()
            && let Some(problem) = self.problem()
        {
            return Err(problem.clone());
        }
        let to_come = |seen: &Seen| {
            seen.desired.is_none() && seen.cluster.as_ref().is_some_and(|cluster| cluster.connector_config.is_none())
        };
        Ok(!self.seen().any(|(_, _, _, seen)| to_come(seen)))
    }

    /// The first of what went wrong.
    pub fn problem(&self) -> Option<&Problem> {
        self.off.as_ref().or_else(|| self.cells.values().find_map(|cell| cell.failure.as_ref()))
    }

    /// What to say where there are no rows.
    pub fn nothing(&self) -> Problem {
        if let Some(why) = &self.off {
            return why.clone();
        }
        if !self.is_complete() {
            return Problem::new("asking AWS for clusters …")
                .hint("every profile in its own region, the session's and those of the contexts");
        }
        let asked: Vec<String> =
            self.cells.iter().map(|(cell, answers)| format!("{} as {}", cell.region, answers.who)).collect();
        let problem = Problem::new("there are no clusters here");
        let why = if asked.is_empty() {
            "there is no AWS profile to ask".to_owned()
        } else {
            format!("asked {}", asked.join(", "))
        };
        problem
            .because(why)
            .hint("--region, or `regions` and `profiles` in [fleet] of the settings, say where else to look")
    }

    /// The cluster behind a row, where EKS has it.
    pub fn key(&self, uid: Uid) -> Option<Key> {
        match &self.targets.get(&uid)?.0 {
            Target::Cluster(key) => Some(key.clone()),
            Target::Contexts | Target::Cell(_) => None,
        }
    }

    /// How to connect to the cluster of a row.
    pub fn way(&self, uid: Uid) -> Result<Way<'_>, Problem> {
        let gone = || Problem::new("the cluster is gone").because("it is no longer in what AWS lists");
        let (target, context) = self.targets.get(&uid).ok_or_else(gone)?;
        if let Some(context) = context {
            return Ok(Way::Context(context.clone()));
        }
        match target {
            Target::Cluster(key) => {
                let cell = self.cells.get(&key.cell).ok_or_else(gone)?;
                let seen = cell.clusters.get(&key.name).ok_or_else(gone)?;
                match (&seen.cluster, &cell.session) {
                    (Some(cluster), Some(session)) => Ok(Way::Eks(cluster, session)),
                    _ => Err(Problem::new(format!("the cluster {} cannot be connected to yet", key.name))
                        .because(seen.doubt.clone().unwrap_or_else(|| "EKS has not described it yet".to_owned()))
                        .hint("a context of the kubeconfig would lead there too")),
                }
            }
            Target::Contexts => Err(gone()),
            Target::Cell(cell) => Err(self.failure_of(cell)),
        }
    }

    fn failure_of(&self, cell: &Cell) -> Problem {
        let failure = self.cells.get(cell).and_then(|answers| answers.failure.clone());
        failure.unwrap_or_else(|| Problem::new("it has answered by now"))
    }

    /// What there is to read about a row.
    pub fn page(&self, uid: Uid) -> Option<Page<'_>> {
        let only = || {
            Problem::new("only the kubeconfig knows this cluster")
                .because("no profile that is asked sees it in EKS, or it is none of EKS")
                .hint("`profiles` and `regions` in [fleet] of the settings say where to look")
        };
        Some(match &self.targets.get(&uid)?.0 {
            Target::Cluster(key) => {
                let cell = self.cells.get(&key.cell)?;
                let seen = cell.clusters.get(&key.name)?;
                match &seen.cluster {
                    Some(cluster) => Page::Cluster { cluster, session: cell.session.as_ref() },
                    None => {
                        let why = seen.doubt.clone().unwrap_or_else(|| "it has not answered yet".to_owned());
                        Page::Problem(Problem::new("EKS has not described this cluster").because(why))
                    }
                }
            }
            Target::Contexts => Page::Problem(only()),
            Target::Cell(cell) => Page::Problem(self.failure_of(cell)),
        })
    }

    /// The table's rows as of `now` (Unix seconds); `shown` is the context that is connected.
    pub fn rows(&mut self, shown: Option<&str>, now: i64) -> Changes<Row> {
        let mut of_key: BTreeMap<Key, Vec<&Known>> = BTreeMap::new();
        let mut strangers: BTreeMap<Uid, Vec<&Known>> = BTreeMap::new();
        for context in &self.contexts {
            match self.cluster_of(context) {
                Some(key) => of_key.entry(key).or_default().push(context),
                None => strangers.entry(uid_of_context(context)).or_default().push(context),
            }
        }
        let (mut changes, mut targets) = (Changes::default(), HashMap::new());
        let mut add = |uid: Uid, name: &str, created: i64, target: Target, row: Row| {
            let created = kinds::seconds(Some(created));
            let meta = Meta { uid, name: Span::push(&mut changes.names, name), created, ..Meta::default() };
            targets.insert(uid, (target, row.contexts.first().cloned()));
            changes.changes.push(Change::Upsert(meta, row));
        };
        for (cell, answers, name, seen) in self.seen() {
            let key = Key { cell: cell.clone(), name: name.clone() };
            let mut row = Row {
                region: cell.region.clone(),
                account: account(cell),
                profile: answers.who.clone(),
                at: seen.at,
                ..Row::default()
            };
            let versions = self.versions(answers);
            if let Some(cluster) = &seen.cluster {
                rows::describe(&mut row, cluster, versions.as_deref().unwrap_or_default(), now);
            }
            row.desired.clone_from(&seen.desired);
            row.doubts.extend(seen.doubt.clone());
            row.doubts.extend(versions.err().filter(|_| seen.cluster.is_some()));
            row.doubts.extend(answers.failure.as_ref().map(|failure| failure.what.clone()));
            of_contexts(&mut row, of_key.get(&key).map_or(&[], Vec::as_slice), shown);
            let created = seen.cluster.as_ref().and_then(|cluster| cluster.created_at);
            let created = created.map_or(0, jiff::Timestamp::as_second);
            add(uid_of(&cell.owner, &cell.region, name), name, created, Target::Cluster(key), row);
        }
        for (uid, contexts) in strangers {
            let claim = contexts.first().and_then(|context| context.claim.as_ref());
            let name = claim.map(|claim| claim.name.as_str()).or(contexts.first().map(|it| it.context.as_str()));
            let mut row = Row {
                region: claim.and_then(region_of).unwrap_or_default().to_owned(),
                account: claim.and_then(|claim| claim.account.clone()).unwrap_or_default(),
                ..Row::default()
            };
            if claim.is_some_and(|claim| self.is_denied_by(claim)) {
                row.doubts.push("EKS has no such cluster".to_owned());
            }
            of_contexts(&mut row, &contexts, shown);
            add(uid, name.unwrap_or(NAMELESS), 0, Target::Contexts, row);
        }
        for (cell, answers) in &self.cells {
            // Clusters that are known from before say it themselves.
            let Some(failure) = answers.failure.as_ref().filter(|_| answers.clusters.is_empty()) else { continue };
            let row = Row {
                region: cell.region.clone(),
                account: account(cell),
                profile: answers.who.clone(),
                failure: Some(failure.what.clone()),
                ..Row::default()
            };
            let uid = Uid::hashed(&[b"cell", cell.owner.as_bytes(), cell.region.as_bytes()]);
            add(uid, NAMELESS, 0, Target::Cell(cell.clone()), row);
        }
        self.targets = targets;
        changes
    }

    /// The ends of support: the same in all regions, so whoever may know them tells for all.
    fn versions(&self, own: &Answers) -> Result<Vec<ClusterVersion>, String> {
        let own = own.versions.as_ref();
        let known = |versions: &&Result<Vec<ClusterVersion>, String>| versions.is_ok();
        let any = || self.cells.values().filter_map(|cell| cell.versions.as_ref()).find(known);
        own.filter(|versions| versions.is_ok()).or_else(any).or(own).cloned().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The cluster behind a context: by its endpoint, else by the ARN or the name that it claims to be.
    fn cluster_of(&self, context: &Known) -> Option<Key> {
        let key =
            |(cell, _, name, _): (&Cell, &Answers, &String, &Seen)| Key { cell: cell.clone(), name: name.clone() };
        let endpoint = |seen: &Seen| {
            let endpoint = seen.cluster.as_ref()?.endpoint.as_deref()?;
            Some(endpoint.trim_start_matches("https://").trim_end_matches('/').to_lowercase())
        };
        let host = context.host.trim_end_matches(":443").to_lowercase();
        if let Some(found) = self.seen().find(|it| endpoint(it.3).is_some_and(|endpoint| endpoint == host)) {
            return Some(key(found));
        }
        let claim = context.claim.as_ref()?;
        let fits = |it: &(&Cell, &Answers, &String, &Seen)| {
            let (cell, _, name, seen) = it;
            let number = account(cell);
            claim.name == **name
                && region_of(claim).is_none_or(|region| region == cell.region)
                && claim.account.as_ref().is_none_or(|account| number.is_empty() || *account == number)
                // A host of EKS is one cluster's alone: another's means that it was made anew.
                && (claim.host_region().is_none() || endpoint(seen).is_none())
        };
        let fitting: Vec<_> = self.seen().filter(fits).collect();
        let own = |it: &(&Cell, &Answers, &String, &Seen)| Some(&it.1.who) == context.profile.as_ref();
        match fitting[..] {
            [one] => Some(key(one)),
            // The same name in two accounts: the profile decides, or nobody.
            _ => {
                let mut own = fitting.into_iter().filter(own);
                own.next().filter(|_| own.next().is_none()).map(key)
            }
        }
    }

    /// Whether the very account and region of a claim answered, without naming the cluster.
    fn is_denied_by(&self, claim: &Claim) -> bool {
        let (Some(account), Some(region)) = (&claim.account, region_of(claim)) else { return false };
        let cell = self.cells.get(&Cell { owner: account.clone(), region: region.to_owned() });
        cell.is_some_and(|cell| cell.session.is_some() && cell.failure.is_none())
    }
}

/// The account's number, where the cell has it.
fn account(cell: &Cell) -> String {
    let is_number = cell.owner.len() == 12 && cell.owner.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { cell.owner.clone() } else { String::new() }
}

fn region_of(claim: &Claim) -> Option<&str> {
    claim.region.as_deref().or_else(|| claim.host_region())
}

fn uid_of(owner: &str, region: &str, name: &str) -> Uid {
    Uid::hashed(&[b"cluster", owner.as_bytes(), region.as_bytes(), name.as_bytes()])
}

/// Of a context whose cluster is known exactly the cluster's own, so that its row stays the same when AWS answers.
fn uid_of_context(context: &Known) -> Uid {
    let exact =
        context.claim.as_ref().and_then(|claim| Some((claim.account.as_ref()?, region_of(claim)?, &claim.name)));
    match exact {
        Some((account, region, name)) => uid_of(account, region, name),
        None => Uid::hashed(&[b"context", context.context.as_bytes()]),
    }
}

/// The contexts of a cluster, the one that is shown first: that is the one to go back to.
fn of_contexts(row: &mut Row, contexts: &[&Known], shown: Option<&str>) {
    row.contexts = contexts.iter().map(|context| context.context.clone()).collect();
    if let Some(at) = row.contexts.iter().position(|context| Some(context.as_str()) == shown) {
        row.contexts.swap(0, at);
        row.connected = true;
    }
}

#[cfg(test)]
mod tests;
