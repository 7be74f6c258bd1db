//! What one node group did and does, asked of AWS again and again while somebody looks: scaling activities and updates.
//! What one call may not say does not cost what the other does.

use std::{collections::HashMap, rc::Rc, time::Duration};

use jiff::Timestamp;

use super::{ask::doubt, now};
use crate::{
    kinds::{
        HasId,
        activity::{Activity, Row},
    },
    problem::Problem,
    sources::{
        Message,
        aws::{
            AwsSession, autoscaling,
            eks::{self, Update},
            error::AwsError,
            pace::{Pace, Paces},
        },
        kube::cluster::{Cluster, Disconnected},
    },
    store::{
        intern::Interner,
        stream::{StreamId, StreamState},
        table::{Change, Changes, Covers, Meta, Span, Uid},
    },
};

/// Pauses between two rounds: while something goes on, and else.
const CHANGING: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(15);
/// Updates that are described, the newest.
const UPDATES: usize = 20;

/// Whose activities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub uid: Uid,
    /// Make and name, as the stream is wanted.
    pub make: String,
    pub name: String,
    /// The cluster, where EKS manages the group.
    pub cluster: Option<String>,
    pub asg: Option<String>,
}

/// Asks until it is dropped or the loop is gone. Without a subject there is nobody to ask about.
pub async fn run(cluster: Rc<Cluster>, stream: StreamId, subject: Option<Subject>, paces: Paces) {
    // The loop is gone: so is who would be told.
    let _ = poll(&cluster, stream, subject, &paces).await;
}

async fn poll(
    cluster: &Cluster,
    stream: StreamId,
    subject: Option<Subject>,
    paces: &Paces,
) -> Result<(), Disconnected> {
    let epoch = cluster.next_epoch();
    let (Some(subject), Some(Ok(eks))) = (subject, cluster.session.eks()) else {
        let why = Problem::new("activities are those of one group").hint("a on its row in :ng shows them");
        cluster.state(stream, StreamState::Off(why)).await?;
        return cluster.tell(Message::Complete { stream, kind: Activity::ID, covers: Covers::All, epoch }).await;
    };
    let covers = Covers::Object { namespace: subject.make.clone(), name: subject.name.clone() };
    let session = eks.session.clone();
    let pace = paces.of(&session);
    let mut asker = Asker::new(session, pace);
    let mut complete = false;
    loop {
        let answers = Box::pin(asker.round(&subject)).await;
        cluster.rows(stream, Activity::ID, epoch, |interner| rows(&subject, &answers, interner)).await?;
        if !std::mem::replace(&mut complete, true) {
            let covers = covers.clone();
            cluster.tell(Message::Complete { stream, kind: Activity::ID, covers, epoch }).await?;
        }
        cluster.state(stream, StreamState::Polled { at: now() }).await?;
        tokio::time::sleep(if answers.changing() { CHANGING } else { QUIET }).await;
    }
}

/// One round's answers; none where there is nothing to ask.
#[derive(Default)]
pub struct Answers {
    pub scaling: Option<Result<Vec<autoscaling::Activity>, AwsError>>,
    pub updates: Option<Result<Vec<Update>, AwsError>>,
}

impl Answers {
    fn changing(&self) -> bool {
        let scaling = self.scaling.iter().flatten().flatten().any(|activity| activity.end.is_none());
        scaling || self.updates.iter().flatten().flatten().any(|update| update.status == "InProgress")
    }
}

/// Asks, and remembers what need not be asked again.
pub struct Asker {
    session: AwsSession,
    pace: Rc<Pace>,
    /// Updates that will not change any more.
    ended: HashMap<String, Update>,
}

impl Asker {
    pub fn new(session: AwsSession, pace: Rc<Pace>) -> Self {
        Self { session, pace, ended: HashMap::new() }
    }

    pub async fn round(&mut self, subject: &Subject) -> Answers {
        let scaling = match &subject.asg {
            Some(asg) => {
                self.pace.turn().await;
                Some(autoscaling::describe_scaling_activities(&self.session, asg, 100).await)
            }
            None => None,
        };
        let updates = match &subject.cluster {
            Some(cluster) => Some(self.updates(cluster, &subject.name).await),
            None => None,
        };
        Answers { scaling, updates }
    }

    async fn updates(&mut self, cluster: &str, group: &str) -> Result<Vec<Update>, AwsError> {
        self.pace.turn().await;
        let ids = eks::list_updates(&self.session, cluster, Some(group)).await?;
        let mut updates = Vec::new();
        for id in ids.iter().take(UPDATES) {
            if let Some(update) = self.ended.get(id) {
                updates.push(update.clone());
                continue;
            }
            self.pace.turn().await;
            let update = eks::describe_update(&self.session, cluster, Some(group), id).await?;
            if update.status != "InProgress" {
                self.ended.insert(id.clone(), update.clone());
            }
            updates.push(update);
        }
        Ok(updates)
    }
}

/// Answers as rows of the table of activities.
pub fn rows(subject: &Subject, answers: &Answers, interner: &mut Interner) -> Changes<Row> {
    let mut changes = Changes::default();
    let uid = |kind: &str, id: &str| Uid::hashed(&[kind.as_bytes(), id.as_bytes(), &subject.uid.0]);
    // What was refused once and is answered now is refused no more.
    let answered =
        [("scaling", matches!(answers.scaling, Some(Ok(_)))), ("update", matches!(answers.updates, Some(Ok(_))))];
    changes.changes.extend(answered.iter().filter(|(_, ok)| *ok).map(|(kind, _)| Change::Remove(uid(kind, ""))));
    let mut push = |id: &str, start: Option<Timestamp>, row: Row| {
        let meta = Meta {
            uid: uid(row.kind, id),
            name: Span::push(&mut changes.names, id),
            namespace: interner.text(&subject.make),
            owner_name: interner.text(&subject.name),
            created: crate::kinds::seconds(start.map(Timestamp::as_second)),
            ..Meta::default()
        };
        changes.changes.push(Change::Upsert(meta, row));
    };
    let blank = |kind| Row {
        group: subject.uid,
        kind,
        status: String::new(),
        ended: None,
        progress: None,
        message: String::new(),
        cause: String::new(),
    };
    match &answers.scaling {
        Some(Ok(activities)) => {
            for it in activities {
                let message = it.message.clone().filter(|message| !message.is_empty());
                let row = Row {
                    status: it.status.clone(),
                    ended: it.end.map(Timestamp::as_second),
                    progress: it.progress,
                    message: message.unwrap_or_else(|| it.description.clone()),
                    cause: it.cause.clone(),
                    ..blank("scaling")
                };
                push(&it.id, it.start, row);
            }
        }
        Some(Err(error)) => push("", None, Row { message: doubt(error), ..blank("scaling") }),
        None => {}
    }
    match &answers.updates {
        Some(Ok(updates)) => {
            for it in updates {
                let params = it.params.iter().map(|param| format!("{} {}", param.kind, param.value));
                let errors = it.errors.iter().map(|error| format!("{}: {}", error.code, error.message));
                let row = Row {
                    status: it.status.clone(),
                    message: std::iter::once(it.kind.clone()).chain(errors).collect::<Vec<_>>().join(": "),
                    cause: params.collect::<Vec<_>>().join(", "),
                    ..blank("update")
                };
                push(&it.id, it.created_at, row);
            }
        }
        Some(Err(error)) => push("", None, Row { message: doubt(error), ..blank("update") }),
        None => {}
    }
    changes
}
