//! LIST: snapshots, selectors, pages.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::query::Query;
use super::render::ListMeta;
use super::selector::Selector;
use super::status::Status;
use crate::admission::options;
use crate::catalog::ResourceId;
use crate::object::Object;
use crate::owner::Owner;

/// What a `continue` token says.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    /// The version of the snapshot.
    rv: u64,
    /// The last key of the page before.
    start: String,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    pub meta: ListMeta,
    pub objects: Vec<Arc<Object>>,
}

/// Takes the page that the query asks for.
pub async fn page(
    owner: &Owner,
    resource: ResourceId,
    namespace: &str,
    query: &Query,
    selector: &Selector,
) -> Result<Page, Status> {
    let closed = || Status::internal("the server is shutting down");
    let next = query.get("continue");
    options::listing(query, false)?;
    let wrong = |wrong: String| Status::bad_request(format!("invalid resource version: {wrong}"));
    let version = query.version().map_err(wrong)?;
    let snapshot_of = namespace.to_owned();
    let (snapshot, start) = if next.is_empty() {
        let snapshot = owner.ask(move |world| world.snapshot(resource, &snapshot_of)).await.ok_or_else(closed)?;
        if version.is_some_and(|version| version > snapshot.version) {
            return Err(Status::future_version(version.unwrap_or(0), snapshot.version));
        }
        (snapshot, None)
    } else {
        let token: Option<Continue> =
            BASE64_URL_SAFE_NO_PAD.decode(next).ok().and_then(|token| serde_json::from_slice(&token).ok());
        let token = token.ok_or_else(|| {
            Status::bad_request(
                "invalid continue token: continue key is not valid: invalid character looking for beginning of value",
            )
        })?;
        let snapshot =
            owner.ask(move |world| world.snapshot_at(resource, &snapshot_of, token.rv)).await.ok_or_else(closed)?;
        (snapshot.ok_or_else(Status::continue_expired)?, Some(token.start))
    };
    // Served from the cache, a list has no pages.
    let limit = if version == Some(0) && next.is_empty() { 0 } else { query.number("limit")?.unwrap_or(0) };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let from = start
        .as_ref()
        .map_or(0, |start| snapshot.objects.partition_point(|object| object.key.as_ref() <= start.as_str()));
    let mut rest = snapshot.objects[from..].iter().filter(|object| selector.is_empty() || selector.matches(object));
    let objects: Vec<_> = rest.by_ref().take(if limit == 0 { usize::MAX } else { limit }).cloned().collect();
    let mut meta = ListMeta { version: snapshot.version, ..ListMeta::default() };
    if limit > 0
        && let (Some(last), Some(_)) = (objects.last(), rest.next())
    {
        let token = Continue { rv: snapshot.version, start: last.key.to_string() };
        meta.next = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_string(&token).unwrap_or_default());
        // With a selector the server would have to look at all the others to know.
        meta.remaining = selector.is_empty().then(|| snapshot.objects.len() - from - objects.len());
        if start.is_none() {
            let namespace = namespace.to_owned();
            owner.tell(move |world| world.keep(resource, &namespace, snapshot));
        }
    }
    Ok(Page { meta, objects })
}
