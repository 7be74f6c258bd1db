//! The sources' thread: takes orders from the loop, runs one task a stream, and answers over one bounded channel. When
//! a cluster is left, everything of it is dropped at once.

use std::{collections::HashMap, rc::Rc, thread};

use bytes::Bytes;
use http::{Request, Uri};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{AbortHandle, LocalSet, spawn_local},
};

use super::{
    Message,
    aws::{
        AwsSession, Environment, SessionOptions, Wish,
        change::{self, Change},
        fleet::{self, Survey, Watched},
        groups::{
            self, Attention,
            activities::{self, Subject},
        },
        login,
        pace::Paces,
    },
    kube::{
        cluster::{Cluster, Preference},
        discovery, fetch,
        metrics::{self, Ask},
        session::Session,
        stream::{self, StreamSpec},
    },
};
use crate::{
    kinds::Decoder,
    problem::Problem,
    store::{stream::StreamId, table::Uid},
};

/// Batches that may wait for the loop; more, and the network waits.
const INBOX: usize = 8;

/// Which connection a message belongs to; messages of an earlier one are dropped by the loop.
pub type Generation = u32;

/// What the loop asks for.
pub enum Order {
    /// Leaves the cluster before, if any, and uses this session.
    Connect {
        generation: Generation,
        session: Session,
        preference: Preference,
    },
    Open {
        spec: StreamSpec,
        decoder: Box<dyn Decoder>,
    },
    /// Ask AWS for the node groups of the cluster, again and again.
    Poll(StreamId),
    /// Ask AWS what a node group did, again and again.
    Activities {
        stream: StreamId,
        subject: Option<Subject>,
    },
    /// Whether what AWS says is on screen.
    Attend(bool),
    /// Look for clusters in all accounts, while they are watched.
    Survey(Survey),
    /// Which clusters are on screen.
    Watch(Watched),
    /// Change the size of a node group; the answer is a message of its own.
    Change {
        group: Uid,
        name: String,
        change: Change,
        token: String,
    },
    /// Sign in to AWS in a browser: as a profile, or as the cluster's session is to be.
    Login(Option<String>),
    StopLogin,
    /// Forget credentials: there may be others now.
    Reload,
    Close(StreamId),
    /// Say what the server serves, now and whenever that changes.
    Discover,
    /// Poll metrics of one kind, and of no other; `None` stops it.
    Measure(Option<Ask>),
    /// A request whose answer is a message of its own.
    Fetch {
        ticket: u64,
        request: fetch::Request,
    },
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Order::Connect { generation, .. } => write!(f, "Connect({generation})"),
            Order::Open { spec, .. } => write!(f, "Open({})", spec.path),
            Order::Poll(id) => write!(f, "Poll({id:?})"),
            Order::Activities { stream, subject } => write!(f, "Activities({stream:?}, {subject:?})"),
            Order::Attend(visible) => write!(f, "Attend({visible})"),
            Order::Survey(survey) => write!(f, "Survey({survey:?})"),
            Order::Watch(watched) => write!(f, "Watch({watched:?})"),
            Order::Change { change, .. } => write!(f, "Change({change:?})"),
            Order::Login(profile) => write!(f, "Login({profile:?})"),
            Order::StopLogin => f.write_str("StopLogin"),
            Order::Reload => f.write_str("Reload"),
            Order::Close(id) => write!(f, "Close({id:?})"),
            Order::Discover => f.write_str("Discover"),
            Order::Measure(ask) => write!(f, "Measure({ask:?})"),
            Order::Fetch { request, .. } => write!(f, "Fetch({request:?})"),
        }
    }
}

/// The loop's end of the sources.
pub struct Sources {
    orders: mpsc::UnboundedSender<Order>,
}

impl Sources {
    /// Starts the thread; messages come out of the receiver.
    pub fn start() -> Result<(Self, mpsc::Receiver<(Generation, Message)>), Problem> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (out, messages) = mpsc::channel(INBOX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build()
            .map_err(|error| Problem::new("cannot start the sources").because(error))?;
        thread::Builder::new()
            .name("sources".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, serve(inbox, out)))
            .map_err(|error| Problem::new("cannot start the sources").because(error))?;
        Ok((Self { orders }, messages))
    }

    pub fn order(&self, order: Order) {
        // It fails only when the thread has ended, and then the loop is ending too.
        let _ = self.orders.send(order);
    }
}

async fn serve(mut orders: mpsc::UnboundedReceiver<Order>, out: mpsc::Sender<(Generation, Message)>) {
    let mut cluster: Option<Rc<Cluster>> = None;
    let mut streams: HashMap<StreamId, AbortHandle> = HashMap::new();
    let mut fetches: Vec<AbortHandle> = Vec::new();
    let mut measuring: Option<AbortHandle> = None;
    let mut signing_in: Option<AbortHandle> = None;
    let attention = Rc::new(Attention::default());
    let paces = Paces::default();
    let (watch, watched) = watch::channel(Watched::default());
    // Who the fleet is asked as, and a bell for what has waited for credentials.
    let mut accounts: Option<(Environment, SessionOptions)> = None;
    let renewed = Rc::new(Notify::new());
    while let Some(order) = orders.recv().await {
        match order {
            Order::Connect { generation, session, preference } => {
                let open = streams.drain().map(|(_, task)| task);
                for task in open.chain(fetches.drain(..)).chain(measuring.take()).chain(signing_in.take()) {
                    task.abort();
                }
                cluster = Some(Rc::new(Cluster::new(session, preference, generation, out.clone())));
            }
            Order::Open { spec, decoder } => {
                let Some(cluster) = &cluster else { continue };
                let id = spec.id;
                let task = spawn_local(stream::run(Rc::clone(cluster), spec, decoder));
                streams.insert(id, task.abort_handle());
            }
            Order::Poll(id) => {
                let Some(cluster) = &cluster else { continue };
                let poll = groups::run(Rc::clone(cluster), id, Rc::clone(&attention), paces.clone());
                streams.insert(id, spawn_local(poll).abort_handle());
            }
            Order::Activities { stream, subject } => {
                let Some(cluster) = &cluster else { continue };
                let ask = activities::run(Rc::clone(cluster), stream, subject, paces.clone());
                streams.insert(stream, spawn_local(ask).abort_handle());
            }
            Order::Attend(visible) => attention.set(visible),
            Order::Survey(survey) => {
                accounts = Some((survey.environment.clone(), survey.options.clone()));
                spawn_local(fleet::run(survey, watched.clone(), paces.clone(), Rc::clone(&renewed), out.clone()));
            }
            Order::Watch(watched) => drop(watch.send_replace(watched)),
            Order::Change { group, name, change, token } => {
                let Some(cluster) = cluster.clone() else { continue };
                let attention = Rc::clone(&attention);
                // It is not dropped with the cluster: what was confirmed is sent.
                spawn_local(async move {
                    let outcome = change::send(&cluster, &change, &token).await;
                    attention.changed();
                    let _ = cluster.tell(Message::Changed { group, name, outcome }).await;
                });
            }
            Order::Login(profile) => {
                signing_in.take().iter().for_each(AbortHandle::abort);
                let (cluster, accounts, out) = (cluster.clone(), accounts.clone(), out.clone());
                let renewed = Rc::clone(&renewed);
                let task = spawn_local(async move {
                    if sign_in(profile, cluster.as_deref(), accounts, &out).await {
                        renewed.notify_waiters();
                        if let Some(cluster) = cluster {
                            reload(&cluster).await;
                        }
                    }
                });
                signing_in = Some(task.abort_handle());
            }
            Order::StopLogin => signing_in.take().iter().for_each(AbortHandle::abort),
            Order::Reload => {
                renewed.notify_waiters();
                let Some(cluster) = cluster.clone() else { continue };
                // It waits for whoever fetches credentials now, and that may be a person.
                fetches.push(spawn_local(async move { reload(&cluster).await }).abort_handle());
            }
            Order::Close(id) => {
                if let Some(task) = streams.remove(&id) {
                    task.abort();
                }
            }
            Order::Discover => {
                let Some(cluster) = cluster.clone() else { continue };
                fetches.push(spawn_local(async move { discovery::follow(&cluster).await }).abort_handle());
            }
            Order::Measure(ask) => {
                measuring.take().iter().for_each(AbortHandle::abort);
                if let (Some(cluster), Some(ask)) = (cluster.clone(), ask) {
                    measuring = Some(spawn_local(metrics::run(cluster, ask)).abort_handle());
                }
            }
            Order::Fetch { ticket, request } => {
                let Some(cluster) = cluster.clone() else { continue };
                fetches.retain(|task| !task.is_finished());
                let task = spawn_local(async move {
                    let answer = fetch::run(&cluster, request).await;
                    // The loop may have gone meanwhile.
                    let _ = cluster.tell(Message::Fetched { ticket, answer }).await;
                });
                fetches.push(task.abort_handle());
            }
        }
    }
}

/// Signs in as a profile, or with the AWS session of the cluster; true where that has come about.
async fn sign_in(
    profile: Option<String>,
    cluster: Option<&Cluster>,
    accounts: Option<(Environment, SessionOptions)>,
    out: &mpsc::Sender<(Generation, Message)>,
) -> bool {
    // The loop may have gone meanwhile.
    let tell = async |news| drop(out.send((0, Message::Login(news))).await);
    let session = match (profile, accounts, cluster.and_then(|cluster| cluster.session.eks())) {
        (Some(profile), Some((environment, options)), _) => {
            AwsSession::open(Wish { profile: Some(profile), environment, ..Wish::default() }, &options)
        }
        (None, _, Some(eks)) => eks.map(|eks| eks.session.clone()).map_err(Clone::clone),
        _ => Err(Problem::new("there is nothing to sign in to").because("this context is not known to be of EKS")),
    };
    let confirm = async |prompt| tell(login::News::Confirm(prompt)).await;
    let outcome = match session {
        Ok(session) => login::follow(&session, confirm).await,
        Err(problem) => Err(problem),
    };
    let done = outcome.is_ok();
    tell(outcome.map_or_else(login::News::Failed, |()| login::News::Done)).await;
    done
}

/// Forgets credentials, has all asked again that failed without, and says what the server makes of those found now.
async fn reload(cluster: &Cluster) {
    let session = &cluster.session;
    session.forget_credentials().await;
    cluster.tell(Message::Reloaded).await.unwrap_or_default();
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = Uri::from_static("/version");
    let outcome = match (session.send(request).await, session.eks()) {
        (Ok(_), Some(Ok(eks))) => {
            let whose = eks.session.credentials().await.map(|credentials| credentials.origin.clone());
            Ok(whose.unwrap_or_else(|_| session.facts().sign_in.to_string()))
        }
        (Ok(_), _) => Ok(session.facts().sign_in.to_string()),
        (Err(error), _) => Err(error.problem(session)),
    };
    cluster.tell(Message::SignedIn(outcome)).await.unwrap_or_default();
}
