use super::*;
use crate::{
    kinds::HasId,
    sources::aws::{Environment, SessionOptions, Wish},
    store::{table::Rows, world::World},
};

const NOW: i64 = 1_772_366_400;

fn session() -> AwsSession {
    let environment = Environment::default().with([("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let wish = Wish { region: Some("eu-west-1".to_owned()), environment, ..Wish::default() };
    AwsSession::open(wish, &SessionOptions::default()).unwrap()
}

fn cell(owner: &str, region: &str) -> Cell {
    Cell { owner: owner.to_owned(), region: region.to_owned() }
}

fn key(owner: &str, region: &str, name: &str) -> Key {
    Key { cell: cell(owner, region), name: name.to_owned() }
}

const OWN: &str = "111111111111";
const OTHER: &str = "222222222222";

impl Fleet {
    fn list(&mut self, owner: &str, region: &str, who: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let cell = cell(owner, region);
        self.hear(News::Names { cell: cell.clone(), who: who.to_owned(), session: session(), names: names.clone() });
        for name in names {
            let cluster = Cluster {
                name: name.clone(),
                arn: format!("arn:aws:eks:{region}:{owner}:cluster/{name}"),
                status: "ACTIVE".to_owned(),
                endpoint: Some(format!("https://{}{owner}.gr7.{region}.eks.amazonaws.com", name.to_uppercase())),
                ..Cluster::default()
            };
            let key = Key { cell: cell.clone(), name };
            self.hear(News::Described { key, answer: Ok(Box::new(cluster)), at: NOW - 5 });
        }
    }

    /// What the table shows: name, region and contexts of each row.
    fn shown(&mut self, context: Option<&str>) -> Vec<(String, String, String, bool)> {
        let mut world = World::default();
        let epoch = self.next_epoch();
        let changes = self.rows(context, NOW);
        world.apply(kinds::cluster::Cluster::ID, Box::new(changes), epoch);
        world.settle();
        let table = world.table::<kinds::cluster::Cluster>();
        let row = |&id: &u32| {
            let (_, row) = table.get(id).unwrap();
            (table.name(id).to_owned(), row.region.clone(), row.contexts.join(","), row.connected)
        };
        table.natural().iter().map(row).collect()
    }

    fn leads(&mut self, owner: &str, name: &str) -> String {
        self.rows(None, NOW);
        match self.way(uid_of(owner, "eu-west-1", name)) {
            Ok(Way::Context(context)) => format!("context {context}"),
            Ok(Way::Eks(cluster, _)) => format!("eks {}", cluster.name),
            Err(problem) => problem.what,
        }
    }
}

fn context(name: &str, host: &str, claim: Option<(&str, Option<&str>)>, profile: Option<&str>) -> Known {
    let claim = claim.map(|(name, account)| Claim {
        name: name.to_owned(),
        account: account.map(str::to_owned),
        region: Some("eu-west-1".to_owned()),
        host: host.to_owned(),
    });
    Known { context: name.to_owned(), host: host.to_owned(), claim, profile: profile.map(str::to_owned) }
}

#[test]
fn a_cluster_and_its_contexts_are_one_row() {
    let mut fleet = Fleet::default();
    fleet.set_contexts(vec![
        context("by-endpoint", &format!("prod{OWN}.gr7.eu-west-1.eks.amazonaws.com"), None, None),
        context("by-arn", "tunnel.example:8443", Some(("prod", Some(OWN))), None),
        context("by-name", "localhost:8443", Some(("dev", None)), None),
        context("kind", "127.0.0.1:6443", None, None),
    ]);
    fleet.list(OWN, "eu-west-1", "default", &["prod", "dev", "new"]);
    let rows = fleet.shown(Some("by-arn"));
    let row = |name: &str, region: &str, contexts: &str, shown| (name.into(), region.into(), contexts.into(), shown);
    assert_eq!(
        rows,
        [
            row("dev", "eu-west-1", "by-name", false),
            row("kind", "", "kind", false),
            row("new", "eu-west-1", "", false),
            row("prod", "eu-west-1", "by-arn,by-endpoint", true),
        ]
    );
    assert_eq!((fleet.leads(OWN, "prod"), fleet.leads(OWN, "new")), ("context by-endpoint".into(), "eks new".into()));
}

#[test]
fn a_name_alone_does_not_decide_between_accounts() {
    let two = |profile| {
        let mut fleet = Fleet::default();
        fleet.set_contexts(vec![context("c", "localhost:8443", Some(("prod", None)), profile)]);
        fleet.list(OWN, "eu-west-1", "own", &["prod"]);
        fleet.list(OTHER, "eu-west-1", "other", &["prod"]);
        fleet.shown(None).into_iter().map(|(name, region, contexts, _)| format!("{name} {region} {contexts}")).collect()
    };
    let rows: Vec<String> = two(None);
    assert_eq!(rows.iter().filter(|row| row.ends_with(" c")).count(), 1, "{rows:?}");
    assert_eq!(rows.len(), 3, "it stands for itself: {rows:?}");
    assert_eq!(two(Some("other")).len(), 2, "the profile tells");
}

#[test]
fn a_cluster_that_was_made_anew_is_not_the_one_of_the_context() {
    let mut fleet = Fleet::default();
    let host = "OLD.gr7.eu-west-1.eks.amazonaws.com";
    fleet.set_contexts(vec![context("c", host, Some(("prod", None)), None)]);
    fleet.list(OWN, "eu-west-1", "default", &["prod"]);
    assert_eq!(fleet.leads(OWN, "prod"), "eks prod");
    assert_eq!(fleet.shown(None).len(), 2);
}

#[test]
fn who_is_denied_costs_its_own_row_and_what_was_known_stays() {
    let mut fleet = Fleet::default();
    let denied = |region: &str| News::Failed {
        cell: cell(OWN, region),
        who: "default".to_owned(),
        why: Problem::new(format!("AWS denies eks:ListClusters in {region}")),
    };
    fleet.list(OWN, "eu-west-1", "default", &["prod"]);
    fleet.hear(denied("eu-west-3"));
    assert_eq!(fleet.shown(None).len(), 2);
    let uid = Uid::hashed(&[b"cell", OWN.as_bytes(), b"eu-west-3"]);
    let Some(Page::Problem(problem)) = fleet.page(uid) else { panic!("its page says why") };
    assert_eq!(problem.what, "AWS denies eks:ListClusters in eu-west-3");
    assert!(fleet.way(uid).is_err() && fleet.key(uid).is_none());
    fleet.hear(denied("eu-west-1"));
    assert_eq!(fleet.shown(None).len(), 2, "the cluster says it itself");
    fleet.list(OWN, "eu-west-3", "default", &[]);
    assert_eq!(fleet.shown(None).len(), 1, "it may be asked again");
}

#[test]
fn what_is_gone_goes_and_what_is_not_described_says_why() {
    let mut fleet = Fleet::default();
    fleet.list(OWN, "eu-west-1", "default", &["a", "b"]);
    fleet.list(OWN, "eu-west-1", "default", &["b"]);
    assert_eq!(fleet.leads(OWN, "a"), "the cluster is gone");
    let names = vec!["b".to_owned(), "c".to_owned()];
    fleet.hear(News::Names { cell: cell(OWN, "eu-west-1"), who: "default".into(), session: session(), names });
    let denied = Err("needs eks:DescribeCluster".to_owned());
    fleet.hear(News::Described { key: key(OWN, "eu-west-1", "c"), answer: denied, at: NOW });
    assert_eq!(fleet.leads(OWN, "c"), "the cluster c cannot be connected to yet");
    assert_eq!(fleet.shown(None).len(), 2);
}

#[test]
fn it_is_printed_when_all_has_come_and_not_before() {
    let mut fleet = Fleet::default();
    assert_eq!(fleet.is_printable(), Ok(false), "nobody was asked");
    fleet.hear(News::Open(1));
    fleet.list(OWN, "eu-west-1", "default", &["prod"]);
    fleet.hear(News::Open(0));
    assert!(fleet.is_complete());
    assert_eq!(fleet.is_printable(), Ok(false), "its node groups are still asked");
    fleet.hear(News::Desired { key: key(OWN, "eu-west-1", "prod"), answer: Ok(3), at: NOW });
    assert_eq!(fleet.is_printable(), Ok(true));

    let mut nobody = Fleet::default();
    let why = Problem::new("the SSO session has expired");
    nobody.hear(News::Failed { cell: cell("dev", ""), who: "dev".to_owned(), why: why.clone() });
    nobody.hear(News::Open(0));
    assert_eq!(nobody.is_printable(), Err(why), "nothing but refusals is an error");
}
