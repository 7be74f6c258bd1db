//! ekscope: a terminal explorer for Amazon EKS. This page is the map of the house.
//!
//! # The tree is the data path
//!
//! ```text
//! sources ──batches──▶ store ──▶ kinds ──▶ view ──▶ the screen
//!    ▲                                       │
//!    └──orders── app::runtime ◀──effects── command ◀──keys
//! ```
//!
//! No arrow points backwards. A newcomer who asks where the RESTARTS column comes from walks [`sources::kube::stream`] →
//! [`kinds::pod`] → [`store::table`] → [`view::table`] → [`ui::grid`].
//!
//! - [`cli`]: the command line: `ekscope [VIEW]`, `demo`, `get`, `doctor`, `config`.
//! - [`app`]: the loop. It alone owns the [`store::world::World`] and all state of the screen, awaits the terminal and the
//!   sources, and draws. [`app::update`] says what follows from what happens; [`app::runtime`] carries out the
//!   [`app::effect::Effect`]s that come of it; [`app::wants`] says what has to be asked for, and [`app::streams`] keeps
//!   account of what is; [`app::stack`] is the views that lie on each other, and where the user was when something was
//!   asked; [`app::headless`] is `get`, [`app::doctor`] is `doctor`.
//! - [`sources`]: data in. One thread runs a task a stream ([`sources::kube::stream`]: list, watch, and everything that can
//!   go wrong with them), cuts bytes into objects ([`sources::kube::wire`]), lets the kind decode them and sends batches over
//!   one bounded channel. [`sources::kube::session`] signs in and connects. [`sources::aws`] is the other stream: sessions
//!   and one function a call. [`sources::net`] is what both stand on: connections, proxies, programs that are run.
//! - [`store`]: data at rest. A [`store::table::Table`] of small typed rows a kind, joins kept incrementally
//!   ([`store::world::Joins`]), texts interned once ([`store::intern`]); a [`store::lens::Lens`] is what one view sees of a
//!   table: scope, filter ([`store::query`]), sort, and the order that follows.
//! - [`kinds`]: one file a kind: wire fields → row, columns, health, drill-down. Kinds without a file go through
//!   [`kinds::generic`].
//! - [`ops`]: changes, worked out before anything happens: [`ops::scale`] is another size for a node group, from the facts of
//!   its row ([`kinds::nodegroup`], asked of AWS by [`sources::aws::groups`]) to the request, which [`sources::aws::change`]
//!   sends; [`ops::follow`] says what becomes of it, [`ops::shrink`] which nodes had better go.
//! - [`app::fleet`] is every cluster that is known ([`kinds::cluster`]), asked of AWS by [`sources::aws::fleet`] account by
//!   account, matched with the kubeconfig's contexts, and kept while one cluster after another is shown.
//! - [`command`]: what the user can do: one table, from which keys, palette, hints and help are derived.
//! - [`view`]: what is on screen; [`ui`]: widgets and themes, which know nothing of kinds.
//! - [`config`]: what the user asked for: settings, keys, themes, what is remembered; mistakes are
//!   [`problem::Problem`]s with file, line and column; [`app::shown`] looks up the kinds and columns that they name.
//! - [`sim`] (`crates/simulator`): the one server of the project: the demo world, the tests' and the benchmarks' cluster,
//!   behind real HTTPS, and on the same port the AWS account behind it. It knows nothing of the rest, and nothing but
//!   [`cli`] knows of it; a crate of its own, so that neither is built for the other's sake.
//! - [`problem`], [`recording`], [`util`] (`crates/base`): what both stand on. Problems that reach a person; what the
//!   sources received, redacted, in a file, which [`sim`] plays; ages, quantities, suggestions, work shared between cores.
//!
//! # Decisions that shape the rest
//!
//! - **Columns, not objects.** A watched object becomes a row of some 100 bytes when it is decoded, and the object is
//!   dropped. One message declaration serves protobuf and JSON ([`kinds::wire`]).
//! - **Interning on the sources' side.** Decoding interns; what is new travels with its batch
//!   ([`store::intern::Fresh`]), so the world needs no lock to read and ids agree because batches are applied in order.
//! - **Every list begins with a small page.** It fills the screen and counts the rest; a cluster's very first measures the
//!   link before it is decided how to load the rest: WatchList where the link is fast, compressed pages where it is not.
//! - **One generated AWS client.** EKS is asked by its own crate, which runs on our connections with our credentials and
//!   without retries of its own ([`sources::aws`]); some thirty calls to other services go through one signed client of 200
//!   lines, since their crates would take minutes to build. Credentials are our own: a context's come from its kubeconfig
//!   entry, which the SDK's chain cannot be given, a code can be asked for, and each way they fail has its way out.
//! - **Identity, not position.** Cursor and marks hold uids; slots of a table are reused only after every lens has seen
//!   them go.
//! - **Keys draw at once, data at most 30 times a second, an idle screen never.** Frames that no key asked for take no more
//!   than a fortieth of the time: where drawing is slow there are fewer of them.

pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod kinds;
pub mod ops;
pub mod sources;
pub mod store;
pub mod ui;
pub mod view;

pub use ekscope_base::{problem, recording, util};
pub use ekscope_simulator as sim;
