//! Clusters: those that EKS has, in every account and region that is asked, and those of the kubeconfig, as one table. What
//! nobody could tell is unknown. Rows are made by the program from what AWS and the kubeconfig say.

use super::{At, Decoder, Definition, Drill, HasId, Kind, Origin, generic, node::Node};
use crate::store::value::{Basis, Health, Value};

pub struct Cluster;

/// What is shown of a cluster, or of a place where nobody could say which there are. Instants are Unix seconds, 0 where
/// there is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Empty where the kubeconfig alone knows it.
    pub region: String,
    pub account: String,
    /// The profile that asked.
    pub profile: String,
    /// EKS's word, `ACTIVE`; empty where there is none.
    pub status: String,
    /// Kubernetes' version.
    pub version: String,
    pub platform: String,
    pub support: Option<Support>,
    /// Dollars an hour for the control plane, where that is known.
    pub fee: Option<f64>,
    /// Who may reach its API server.
    pub access: String,
    /// What its managed node groups want together, or why that is not known.
    pub desired: Option<Result<u32, String>>,
    pub issues: Vec<String>,
    /// `key=value`, sorted.
    pub tags: Vec<String>,
    /// The contexts that lead to it.
    pub contexts: Vec<String>,
    /// Whether it is the one that is shown.
    pub connected: bool,
    /// Why nobody could say which clusters there are here.
    pub failure: Option<String>,
    /// What could not be asked, and which permission would help.
    pub doubts: Vec<String>,
    /// When AWS said so.
    pub at: i64,
}

/// How long AWS supports a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    pub phase: Phase,
    /// When this phase ends.
    pub ends: i64,
    /// Whole days until then, negative after it.
    pub days: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Standard,
    /// Costs six times as much.
    Extended,
    Over,
}

/// Days before the end of support from which it is a warning.
const SOON: i64 = 60;

impl Support {
    pub fn health(self) -> Health {
        match self.phase {
            Phase::Standard if self.days > SOON => Health::Ok,
            Phase::Standard | Phase::Extended => Health::Warn,
            Phase::Over => Health::Bad,
        }
    }
}

impl std::fmt::Display for Support {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.phase {
            Phase::Standard => write!(f, "standard {}d", self.days),
            Phase::Extended => write!(f, "extended {}d", self.days),
            Phase::Over => f.write_str("over"),
        }
    }
}

impl Row {
    fn state(&self) -> (Health, String) {
        let mut health = Health::Ok;
        let mut words = Vec::new();
        let mut say = |of: Health, text: &str| {
            health = health.min(of);
            words.push(text.to_owned());
        };
        if let Some(failure) = &self.failure {
            say(Health::Warn, failure);
        }
        match &*self.status {
            "" | "ACTIVE" => {}
            "CREATING" | "UPDATING" | "DELETING" => say(Health::Progressing, &self.status.to_lowercase()),
            "FAILED" => say(Health::Bad, "failed"),
            // Of clusters that are only to be connected to EKS.
            "PENDING" => say(Health::Warn, "pending"),
            other => say(Health::Unknown, &other.to_lowercase()),
        }
        self.issues.iter().for_each(|issue| say(Health::Warn, issue));
        if let Some(Support { phase: Phase::Over, .. }) = self.support {
            say(Health::Bad, "its version is no longer supported");
        }
        self.doubts.iter().for_each(|doubt| say(Health::Unknown, doubt));
        if let Some(Err(doubt)) = &self.desired {
            say(Health::Unknown, doubt);
        }
        if words.is_empty() {
            let (health, text) = match (self.at, &*self.profile) {
                (0, "") => (Health::Unknown, "in the kubeconfig"),
                (0, _) => (Health::Progressing, "asking …"),
                _ => (Health::Ok, "active"),
            };
            return (health, text.to_owned());
        }
        (health, words.join(", "))
    }
}

fn known(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Unknown } else { Value::text(text) }
}

/// Unknown where AWS was not asked; kubectl's `<none>` where there is none.
fn list<'a>(row: &Row, list: &[String]) -> Value<'a> {
    match (row.at, list) {
        (0, _) => Value::Unknown,
        (_, []) => Value::none(),
        (_, list) => Value::Text(list.join(",").into()),
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::text("current", "The one that is shown", |row, _| Value::text(if row.connected { "*" } else { "" })).rank(1),
    Column::text("name", "Its name; ? where nobody could say which clusters there are", |_, at| Value::text(at.name))
        .rank(0),
    Column::text("region", "Region of AWS", |row, _| known(&row.region)).rank(2),
    Column::text("version", "Kubernetes version", |row, _| known(&row.version)).rank(1),
    Column::text("support", "What is left of AWS's support for its version: standard, then extended", |row, _| {
        row.support.map_or(Value::Unknown, |support| Value::Status(support.health(), support.to_string().into()))
    })
    .rank(2),
    Column::number(
        "$/h",
        "The control plane's fee an hour by AWS's list: 0.10, in extended support 0.60; – where it may be another",
        |row, _| row.fee.map_or(Value::Unknown, |fee| Value::Price(fee, Basis::List)),
    )
    .rank(4),
    Column::text("platform", "Platform version of EKS", |row, _| known(&row.platform)).rank(7),
    Column::text("endpoint", "From where its API server can be reached", |row, _| known(&row.access)).rank(5),
    Column::number("ready", "Nodes that are ready; – unless it is the one that is shown", |row, at| {
        if row.connected && at.world.is_whole(Node::ID, None) {
            Value::Int(i64::try_from(at.world.joins.nodes_ready).unwrap_or(i64::MAX))
        } else {
            Value::Unknown
        }
    })
    .joined()
    .rank(3),
    Column::number("desired", "Nodes that its managed node groups want", |row, _| match row.desired {
        Some(Ok(desired)) => Value::Int(i64::from(desired)),
        _ => Value::Unknown,
    })
    .rank(3),
    Column::text("status", "How it is, what EKS finds wrong with it, and what could not be asked", |row, _| {
        let (health, text) = row.state();
        Value::Status(health, text.into())
    })
    .rank(1),
    Column::number("issues", "How many things EKS finds wrong with it", |row, _| {
        if row.at == 0 { Value::Unknown } else { Value::Int(i64::try_from(row.issues.len()).unwrap_or(i64::MAX)) }
    })
    .rank(6),
    Column::text("profile", "AWS profile that sees it", |row, _| known(&row.profile)).rank(6),
    Column::text("tags", "Tags", |row, _| list(row, &row.tags)).rank(8),
    Column::number("asked", "Time since AWS said so", |row, _| match row.at {
        0 => Value::Unknown,
        at => Value::Since(at),
    })
    .rank(7),
    Column::text("account", "AWS account", |row, _| known(&row.account)).wide(),
    Column::text("support-end", "When this phase of support ends", |row, _| {
        let day = |support: Support| jiff::Timestamp::from_second(support.ends).ok();
        let day = row.support.and_then(day);
        day.map_or(Value::Unknown, |at| Value::Text(at.strftime("%Y-%m-%d").to_string().into()))
    })
    .wide(),
    Column::text("contexts", "Contexts of the kubeconfig that lead to it", |row, _| {
        Value::Text(if row.contexts.is_empty() { "<none>".into() } else { row.contexts.join(",").into() })
    })
    .wide(),
    Column::AGE.rank(8),
];

impl Kind for Cluster {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "clusters",
        kind: "Cluster",
        group: "",
        version: "",
        namespaced: false,
        aliases: &["cluster", "fleet"],
        sort: None,
        joins: &["nodes"],
    };
    const ORIGIN: Origin = Origin::Fleet;

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        let (health, _) = row.state();
        row.support.map_or(health, |support| support.health().min(health))
    }

    fn drill(_row: &Row, _at: &At<'_>) -> Option<Drill> {
        None
    }

    fn decoder() -> Box<dyn Decoder> {
        generic::nothing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_the_worst_and_why() {
        let row = |change: fn(&mut Row)| {
            let mut row = Row { status: "ACTIVE".to_owned(), at: 1, ..Row::default() };
            change(&mut row);
            row.state()
        };
        assert_eq!(row(|_| {}), (Health::Ok, "active".to_owned()));
        assert_eq!(row(|row| row.status = "UPDATING".to_owned()), (Health::Progressing, "updating".to_owned()));
        assert_eq!(row(|row| row.issues = vec!["KmsKeyDisabled: key".to_owned()]).0, Health::Warn);
        let denied = |row: &mut Row| row.desired = Some(Err("needs eks:ListNodegroups".to_owned()));
        assert_eq!(row(denied), (Health::Unknown, "needs eks:ListNodegroups".to_owned()));
        assert_eq!(Row::default().state(), (Health::Unknown, "in the kubeconfig".to_owned()));
    }

    #[test]
    fn the_end_of_support_is_a_warning_before_it_comes() {
        let health = |phase, days| Support { phase, ends: 0, days }.health();
        assert_eq!(health(Phase::Standard, SOON + 1), Health::Ok);
        assert_eq!(health(Phase::Standard, SOON), Health::Warn);
        assert_eq!(health(Phase::Extended, 300), Health::Warn);
        assert_eq!(health(Phase::Over, -1), Health::Bad);
    }
}
