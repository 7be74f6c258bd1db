//! One file per kind: its wire fields, how they become a row, columns, health, drill-down. A new kind is one file and
//! one word in `registry!` below.
//!
//! Kinds know the store's values and each other's rows (to join), never sources, views or keys.

pub mod generic;
pub mod wire;
pub mod workload;

use std::{any::Any, borrow::Cow};

use bytes::Bytes;

use crate::store::{
    intern::{Interner, Sym},
    lens::Pin,
    query::Selector,
    table::{Change, Changes, Meta, Rows, Span, Table, Uid},
    value::{Align, Health, Metric, Value},
    world::{Joins, World},
};

/// Declares the kinds with a file of their own, in the order of their ids.
macro_rules! registry {
    ($($module:ident :: $kind:ident),* $(,)?) => {
        $( pub mod $module; )*

        #[expect(non_camel_case_types, reason = "named as the modules are")]
        enum Order { $( $module ),* }

        $( impl HasId for $module::$kind {
            const ID: KindId = KindId(Order::$module as u16);
        } )*

        /// What is known of each kind, and its empty table, in the order of the ids.
        pub fn registry() -> (Vec<KindInfo>, Vec<Box<dyn Rows>>) {
            (
                vec![$( KindInfo::of::<$module::$kind>() ),*],
                vec![$( Box::new(Table::<$module::$kind>::default()) ),*],
            )
        }

        /// Reads objects of a kind: its own decoder, or the generic one.
        pub fn decoder(kind: KindId, info: &KindInfo) -> Box<dyn Decoder> {
            $( if kind == $module::$kind::ID {
                return <$module::$kind as Kind>::decoder();
            } )*
            generic::decoder(info)
        }
    };
}

registry! {
    pod::Pod,
    node::Node,
    context::Context,
    cluster::Cluster,
    crd::CustomResourceDefinition,
    namespace::Namespace,
    deployment::Deployment,
    replicaset::ReplicaSet,
    statefulset::StatefulSet,
    daemonset::DaemonSet,
    job::Job,
    cronjob::CronJob,
    service::Service,
    event::Event,
    nodegroup::NodeGroup,
    nodeclaim::NodeClaim,
    activity::Activity,
    poddisruptionbudget::PodDisruptionBudget,
    horizontalpodautoscaler::HorizontalPodAutoscaler,
    container::Container,
}

/// A kind's place in the registry; kinds that only the server knows come after those with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindId(u16);

impl KindId {
    pub fn new(index: usize) -> Self {
        Self(u16::try_from(index).unwrap_or(u16::MAX))
    }

    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Given by `registry!`.
pub trait HasId {
    const ID: KindId;
}

/// What a kind's file says of it.
pub struct Definition {
    /// Lower-case plural, as in URLs, titles and commands.
    pub plural: &'static str,
    /// As in manifests.
    pub kind: &'static str,
    /// Empty for the core group.
    pub group: &'static str,
    /// Empty for a kind that the API server does not have.
    pub version: &'static str,
    pub namespaced: bool,
    /// Other words for `:`, kubectl's short names first.
    pub aliases: &'static [&'static str],
    /// Column and direction of the first sort, where it is not namespace and name.
    pub sort: Option<(&'static str, bool)>,
    /// Plurals of the kinds that its columns join with.
    pub joins: &'static [&'static str],
}

/// What is known of a kind at run time.
#[derive(Debug, Clone, PartialEq)]
pub struct KindInfo {
    pub plural: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub namespaced: bool,
    pub aliases: Vec<Cow<'static, str>>,
    pub sort: Option<(Cow<'static, str>, bool)>,
    /// Whether discovery has seen it; a kind with a file may be missing from a server.
    pub served: bool,
    /// Whether discovery lists the verb `watch`; true until it is known better.
    pub watchable: bool,
    /// Verbs of discovery; empty until known.
    pub verbs: Vec<String>,
    /// Whether the kind has a file of its own.
    pub own: bool,
    /// Plurals of the kinds that its columns join with.
    pub joins: &'static [&'static str],
    pub origin: Origin,
}

/// Where the rows of a kind come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The API server: a stream a scope.
    Server,
    /// The program itself.
    Program,
    /// The program, from what all accounts of AWS and the kubeconfig say.
    Fleet,
    /// AWS, and whatever the API server has that belongs into the same table: a stream a part.
    Aws,
}

impl Origin {
    /// Whether the rows are of the cluster that is connected; others stay where it is left.
    pub fn is_of_cluster(self) -> bool {
        matches!(self, Origin::Server | Origin::Aws)
    }
}

impl KindInfo {
    /// What a kind with a file of its own says of itself.
    fn of<K: Kind>() -> Self {
        let definition = K::DEFINITION;
        Self {
            plural: definition.plural.into(),
            kind: definition.kind.into(),
            group: definition.group.into(),
            version: definition.version.into(),
            namespaced: definition.namespaced,
            aliases: definition.aliases.iter().map(|alias| (*alias).into()).collect(),
            sort: definition.sort.map(|(column, descending)| (column.into(), descending)),
            served: false,
            watchable: true,
            verbs: Vec::new(),
            own: true,
            joins: definition.joins,
            origin: K::ORIGIN,
        }
    }
}

impl KindInfo {
    /// Whether a server may do without it: a custom resource, which there is or is not.
    pub fn is_custom(&self) -> bool {
        self.group.contains('.') && !self.group.ends_with(".k8s.io")
    }
}

impl KindInfo {
    /// The path of the whole collection or of one namespace: `/api/v1/namespaces/x/pods`.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) if self.namespaced => format!("{root}/namespaces/{namespace}/{}", self.plural),
            _ => format!("{root}/{}", self.plural),
        }
    }
}

impl KindInfo {
    /// The path of the collection whose objects the rows are made from: for containers, pods.
    pub fn source_path(&self, namespace: Option<&str>) -> String {
        match &*self.plural {
            // The part of node groups that the server has.
            "nodegroups" if self.own => format!("/apis/{}/v1/nodepools", nodegroup::KARPENTER_GROUP),
            "containers" if self.own => {
                namespace.map_or_else(|| "/api/v1/pods".to_owned(), |name| format!("/api/v1/namespaces/{name}/pods"))
            }
            _ => self.path(namespace),
        }
    }
}

/// What a column's value is made from.
pub struct At<'a> {
    pub id: u32,
    pub meta: &'a Meta,
    pub name: &'a str,
    pub world: &'a World,
}

impl<'a> At<'a> {
    /// A shared text as a value; kubectl's `<none>` where it is empty.
    pub fn symbol(&self, sym: Sym) -> Value<'a> {
        if sym.is_empty() { Value::none() } else { Value::Symbol(sym, self.world.symbols.get(sym)) }
    }

    /// A shared text as a value, empty where it is empty.
    pub fn plain(&self, sym: Sym) -> Value<'a> {
        Value::Symbol(sym, self.world.symbols.get(sym))
    }

    /// What a label selector selects in this row's namespace: where Enter leads from whatever has one. `selector` is
    /// its text, empty where there is none and `<none>` where it selects everything.
    pub fn selected_pods(&self, selector: Sym) -> Option<Drill> {
        let symbols = &self.world.symbols;
        let pin = match symbols.get(selector) {
            "" => return None,
            "<none>" => None,
            text => Some(Pin::Labels(Selector::parse(text).ok()?)),
        };
        let namespace = Some(symbols.get(self.meta.namespace).to_owned());
        Some(Drill { plural: "pods".to_owned(), namespace, pin })
    }

    /// As [`At::since`], in kubectl's columns, which say `<unknown>`.
    pub fn ago(seconds: u32) -> Value<'static> {
        if seconds == 0 { Value::text("<unknown>") } else { Self::since(seconds) }
    }

    /// The time since a Unix second; unknown for 0.
    pub fn since(seconds: u32) -> Value<'static> {
        if seconds == 0 { Value::Unknown } else { Value::Since(i64::from(seconds)) }
    }
}

/// One column of a kind: id, title, help, and the value that is drawn, sorted, filtered and printed.
pub struct Column<R: 'static> {
    /// kubectl's header in lower case, or our own; stable, used by scripts, queries and configuration.
    pub id: &'static str,
    pub help: &'static str,
    pub align: Align,
    /// Shown only in wide mode.
    pub wide: bool,
    /// Dropped first when the screen is narrow; 0 is never dropped.
    pub rank: u8,
    /// Depends on another table.
    pub joined: bool,
    /// Searched by plain words.
    pub searched: bool,
    /// Whether the totals line adds it up.
    pub total: bool,
    /// Whether its texts are sentences: they get what room there is, and are cut at their end.
    pub sentence: bool,
    pub value: for<'a> fn(&'a R, &At<'a>) -> Value<'a>,
}

impl<R> Column<R> {
    /// A column of words, searched by plain filter words.
    pub const fn text(id: &'static str, help: &'static str, value: for<'a> fn(&'a R, &At<'a>) -> Value<'a>) -> Self {
        Self {
            id,
            help,
            align: Align::Left,
            wide: false,
            rank: 2,
            joined: false,
            searched: true,
            total: false,
            sentence: false,
            value,
        }
    }

    /// A column of numbers or times, right-aligned.
    pub const fn number(id: &'static str, help: &'static str, value: for<'a> fn(&'a R, &At<'a>) -> Value<'a>) -> Self {
        Self { align: Align::Right, searched: false, ..Self::text(id, help, value) }
    }

    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    #[must_use]
    pub const fn rank(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }

    #[must_use]
    pub const fn joined(mut self) -> Self {
        self.joined = true;
        self
    }

    #[must_use]
    pub const fn total(mut self) -> Self {
        self.total = true;
        self
    }

    #[must_use]
    pub const fn sentence(mut self) -> Self {
        self.sentence = true;
        self
    }

    /// The namespace, first column of every namespaced kind.
    pub const NAMESPACE: Self = Self::text("namespace", "Namespace", |_, at| at.plain(at.meta.namespace)).rank(0);
    pub const NAME: Self = Self::text("name", "Name", |_, at| Value::text(at.name)).rank(0);
    /// kubectl's AGE.
    pub const AGE: Self = Self::number("age", "Time since creation", |_, at| At::ago(at.meta.created)).rank(1);
    pub const LABELS: Self = Self::text("labels", "Labels", |_, at| {
        let symbols = &at.world.symbols;
        let labels: Vec<String> = symbols
            .labels(at.meta.labels)
            .iter()
            .map(|(key, value)| format!("{}={}", symbols.get(*key), symbols.get(*value)))
            .collect();
        Value::Text(Cow::Owned(if labels.is_empty() { "<none>".to_owned() } else { labels.join(",") }))
    })
    .wide();
}

/// A column without its value function, for views, queries and help.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnInfo {
    pub id: Cow<'static, str>,
    pub title: String,
    pub help: Cow<'static, str>,
    pub align: Align,
    pub wide: bool,
    pub rank: u8,
    pub joined: bool,
    pub searched: bool,
    pub total: bool,
    pub sentence: bool,
}

impl<R> From<&Column<R>> for ColumnInfo {
    fn from(column: &Column<R>) -> Self {
        Self {
            id: column.id.into(),
            title: column.id.to_uppercase(),
            help: column.help.into(),
            align: column.align,
            wide: column.wide,
            rank: column.rank,
            joined: column.joined,
            searched: column.searched,
            total: column.total,
            sentence: column.sentence,
        }
    }
}

/// The column that a name means in settings and commands: its id, whatever the case, `-` or `_` for a space.
pub fn column_named(columns: &[ColumnInfo], name: &str) -> Option<usize> {
    let normal = |text: &str| text.to_lowercase().replace([' ', '_'], "-");
    let name = normal(name);
    columns.iter().position(|column| normal(&column.id) == name)
}

/// Where Enter leads from a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Drill {
    /// Plural of the kind to show.
    pub plural: String,
    /// Stay in the namespace of the row, or show all.
    pub namespace: Option<String>,
    pub pin: Option<Pin>,
}

/// A kind of rows. Those with a file of their own are in the registry; the generic one stands for all others.
pub trait Kind: Sized + 'static {
    /// What is kept of an object; small, without pointers into what was received.
    type Row: PartialEq + Send + Sync + std::fmt::Debug + 'static;
    const DEFINITION: Definition;
    const ORIGIN: Origin = Origin::Server;

    fn columns() -> &'static [Column<Self::Row>];

    fn value<'a>(row: &'a Self::Row, column: usize, at: &At<'a>) -> Value<'a> {
        Self::columns().get(column).map_or(Value::Unknown, |column| (column.value)(row, at))
    }

    /// Whether one of the texts satisfies `test` that a plain word looks at, but for the name: those of the searched
    /// columns that are not wide. A short cut for a kind with very many rows; `None` where the columns have to be asked.
    fn any_word(_row: &Self::Row, _at: &At<'_>, _test: &mut dyn FnMut(Sym) -> bool) -> Option<bool> {
        None
    }

    fn health(_row: &Self::Row, _at: &At<'_>) -> Health {
        Health::Unknown
    }

    /// Where Enter leads; `None` opens the object's YAML.
    fn drill(_row: &Self::Row, _at: &At<'_>) -> Option<Drill> {
        None
    }

    /// The object of another kind that a row is a part of, as a container is of its pod.
    fn parent(_row: &Self::Row) -> Option<Uid> {
        None
    }

    /// Told of every change before it is made, to keep what other tables know of this one.
    fn joined(_joins: &mut Joins, _id: u32, _old: Option<(&Meta, &Self::Row)>, _new: Option<(&Meta, &Self::Row)>) {}

    /// Reads watched objects of this kind.
    fn decoder() -> Box<dyn Decoder>;
}

/// An object's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// What an event says of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Added or modified.
    Present,
    Deleted,
}

/// An object could not be read; the stream goes on without it and counts it.
#[derive(Debug, thiserror::Error)]
#[error("undecodable object: {0}")]
pub struct DecodeError(pub String);

/// Turns objects as they came into changes for the table.
pub trait Decoder: Send {
    /// How to ask for objects of this kind.
    fn form(&self) -> Form {
        Form::Typed
    }

    /// Reads one object (the inner message in protobuf, the object in JSON) and returns its resource version.
    fn object(
        &mut self,
        event: EventKind,
        encoding: Encoding,
        object: Bytes,
        interner: &mut Interner,
    ) -> Result<Bytes, DecodeError>;

    /// Changes since the last call, with their number.
    fn take(&mut self) -> (usize, Box<dyn Any + Send>);

    /// How many changes wait.
    fn pending(&self) -> usize;

    /// New columns, where the server decides them (Table, CRD); taken once.
    fn columns(&mut self) -> Option<Vec<ColumnInfo>> {
        None
    }

    /// Path of an object that says how to read this kind (a CustomResourceDefinition), to be asked for before every
    /// list and watch.
    fn description(&self) -> Option<String> {
        None
    }

    /// Takes the description in; `None` where there is none, or none that this user may see.
    fn describe(&mut self, _description: Option<&[u8]>) {}

    /// Whether the columns have changed since rows were made: those have to be read again. Taken once.
    fn reshaped(&mut self) -> bool {
        false
    }
}

/// What to ask the server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Protobuf, or JSON where it is refused.
    Typed,
    /// Whole objects as JSON: what no schema knows.
    Json,
    /// The server's own table.
    Table,
}

/// A kind whose objects are one protobuf message or JSON object each, and one row each.
pub trait Wired: Kind {
    type Wire: prost::Message + Default + serde::de::DeserializeOwned;
    /// How to ask for its objects.
    const FORM: Form = Form::Typed;

    fn meta(wire: &Self::Wire) -> &wire::ObjectMeta;
    fn row(wire: &Self::Wire, interner: &mut Interner) -> Self::Row;

    /// For `Kind::decoder`.
    fn wired() -> Box<dyn Decoder>
    where
        Self::Wire: Send,
    {
        Box::new(WiredDecoder::<Self> { changes: Changes::default() })
    }
}

struct WiredDecoder<K: Kind> {
    changes: Changes<K::Row>,
}

/// The common part of a row, with its name in `arena`.
pub fn meta(wire: &wire::ObjectMeta, arena: &mut String, interner: &mut Interner) -> Meta {
    let owner = wire.controller().or_else(|| wire.owner_references.first());
    let labels = wire.labels.iter().map(|label| (interner.bytes(&label.key), interner.bytes(&label.value))).collect();
    Meta {
        uid: uid(wire),
        name: Span::push(arena, &wire::text(&wire.name)),
        namespace: interner.bytes(&wire.namespace),
        labels: interner.labels(labels),
        owner_kind: owner.map_or(Sym::EMPTY, |owner| interner.bytes(&owner.kind)),
        owner_name: owner.map_or(Sym::EMPTY, |owner| interner.bytes(&owner.name)),
        created: seconds(wire.created()),
        deleted: seconds(wire.deleted()),
    }
}

/// The identity that an object has in its table.
pub fn uid(wire: &wire::ObjectMeta) -> Uid {
    if wire.uid.is_empty() { Uid::hashed(&[&wire.namespace, &wire.name]) } else { Uid::parse(&wire.uid) }
}

/// Unix seconds as rows keep them: 0 for none.
pub fn seconds(instant: Option<i64>) -> u32 {
    instant.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(0)
}

/// For objects that came without metadata.
pub static NO_META: wire::ObjectMeta = wire::ObjectMeta {
    name: Bytes::new(),
    namespace: Bytes::new(),
    uid: Bytes::new(),
    resource_version: Bytes::new(),
    creation_timestamp: None,
    deletion_timestamp: None,
    labels: Vec::new(),
    owner_references: Vec::new(),
};

/// How much of something is used; unknown where there is nothing to compare with.
pub fn percent(metric: Metric, used: u64, of: u64) -> Value<'static> {
    #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
    if of == 0 { Value::Unknown } else { Value::Percent(metric, used as f32 * 100.0 / of as f32) }
}

/// Reads an object in either encoding.
pub fn read<W: prost::Message + Default + serde::de::DeserializeOwned>(
    encoding: Encoding,
    object: Bytes,
) -> Result<W, DecodeError> {
    match encoding {
        Encoding::Protobuf => W::decode(object).map_err(|error| DecodeError(error.to_string())),
        Encoding::Json => serde_json::from_slice(&object).map_err(|error| DecodeError(error.to_string())),
    }
}

impl<K: Wired> Decoder for WiredDecoder<K> {
    fn form(&self) -> Form {
        K::FORM
    }

    fn object(
        &mut self,
        event: EventKind,
        encoding: Encoding,
        object: Bytes,
        interner: &mut Interner,
    ) -> Result<Bytes, DecodeError> {
        let wire: K::Wire = read(encoding, object)?;
        let meta_wire = K::meta(&wire);
        if meta_wire.name.is_empty() {
            return Err(DecodeError("an object without a name".to_owned()));
        }
        let change = match event {
            EventKind::Present => {
                let meta = meta(meta_wire, &mut self.changes.names, interner);
                Change::Upsert(meta, K::row(&wire, interner))
            }
            EventKind::Deleted => Change::Remove(uid(meta_wire)),
        };
        self.changes.changes.push(change);
        Ok(meta_wire.resource_version.clone())
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        let changes = std::mem::take(&mut self.changes);
        (changes.changes.len(), Box::new(changes))
    }

    fn pending(&self) -> usize {
        self.changes.changes.len()
    }
}

#[cfg(test)]
mod tests;
