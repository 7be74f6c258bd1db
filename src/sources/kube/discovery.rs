//! What the server serves: aggregated discovery (two requests), or the legacy one (a request a group) where a server is
//! older than that. Every kind becomes a table. Said again when a custom resource comes or goes.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde::Deserialize;

use super::{
    cluster::{Cluster, get},
    fetch::{body, json},
    stream::escape,
    wire::{EventType, ListMeta, WatchFrames},
};
use crate::{
    kinds::{Encoding, KindInfo, Origin},
    problem::Problem,
    sources::Message,
};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Names and versions: definitions themselves are large.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// Bookmarks come about once a minute.
const SILENCE: Duration = Duration::from_secs(90);
/// An operator brings many definitions at once, and each takes a moment to be served.
const QUIET: Duration = Duration::from_secs(1);
const AT_LATEST: Duration = Duration::from_secs(5);
/// After a failure, and where definitions may not be watched.
const LATER: Duration = Duration::from_mins(1);
const SELDOM: Duration = Duration::from_mins(10);

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;\
     v=v2beta1;as=APIGroupDiscoveryList,application/json";

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Groups {
    kind: String,
    items: Vec<Group>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Group {
    metadata: Metadata,
    versions: Vec<Version>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Version {
    #[serde(rename = "version")]
    name: String,
    resources: Vec<Resource>,
    /// `Stale` where the group's own server does not answer.
    freshness: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    #[serde(rename = "resource")]
    plural: String,
    response_kind: Option<ResponseKind>,
    scope: String,
    short_names: Vec<String>,
    #[serde(rename = "singularResource")]
    singular: String,
    verbs: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseKind {
    kind: String,
}

/// What the server serves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Served {
    /// Every kind that can be listed.
    pub kinds: Vec<KindInfo>,
    /// Groups that did not answer: what they serve is not known.
    pub silent: Vec<String>,
}

/// Tells what the server serves, and again when that changes, until it is dropped or the loop is gone.
pub async fn follow(cluster: &Cluster) {
    loop {
        // Where the definitions stand is asked first, so that no change falls between.
        let version = definitions(cluster).await;
        let served = run(cluster).await;
        let failed = served.is_err();
        if cluster.tell(Message::Served(served)).await.is_err() {
            return;
        }
        let wait = match version {
            _ if failed => LATER,
            // A watch that ends after half an hour is no failure; what it may have missed is asked for.
            Ok(version) => match changed(cluster, &version).await {
                Ok(()) => continue,
                Err(problem) => {
                    tracing::info!("{problem}");
                    LATER
                }
            },
            Err(problem) => {
                tracing::info!("{problem}");
                SELDOM
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// The resource version of all definitions.
async fn definitions(cluster: &Cluster) -> Result<String, Problem> {
    let list = body(cluster, &format!("{DEFINITIONS}?limit=1"), METADATA_LIST).await?;
    let meta = ListMeta::of_json(&list);
    Ok(meta.map_err(|error| Problem::new(format!("cannot read {DEFINITIONS}")).because(error))?.resource_version)
}

/// Waits until definitions change and have come to rest, or the watch ends.
async fn changed(cluster: &Cluster, version: &str) -> Result<(), Problem> {
    let problem = |why: &dyn std::fmt::Display| Problem::new(format!("cannot watch {DEFINITIONS}")).because(why);
    let path = format!(
        "{DEFINITIONS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=1800&resourceVersion={}",
        escape(version)
    );
    let response = cluster.session.send(get(&path, METADATA, false)).await.map_err(|error| problem(&error))?;
    if !response.status().is_success() {
        return Err(problem(&response.status()));
    }
    let mut body = response.into_body();
    let mut frames = WatchFrames::new(Encoding::Json);
    let mut first: Option<Instant> = None;
    loop {
        let silence = if first.is_some() { QUIET } else { SILENCE };
        let frame = match tokio::time::timeout(silence, body.frame()).await {
            Ok(Some(frame)) => frame.map_err(|error| problem(&error))?,
            Ok(None) => return Ok(()),
            Err(_) if first.is_some() => return Ok(()),
            Err(_) => return Err(problem(&"nothing heard for 90 s")),
        };
        frames.push(&frame.into_data().unwrap_or_default());
        while let Some(event) = frames.next_event().map_err(|error| problem(&error))? {
            match event.event {
                EventType::Bookmark => {}
                EventType::Error => return Ok(()),
                EventType::Added | EventType::Modified | EventType::Deleted => {
                    first.get_or_insert_with(Instant::now);
                }
            }
        }
        if first.is_some_and(|first| first.elapsed() > AT_LATEST) {
            return Ok(());
        }
    }
}

async fn run(cluster: &Cluster) -> Result<Served, Problem> {
    let mut served = Served::default();
    for path in ["/api", "/apis"] {
        let text = body(cluster, path, AGGREGATED).await?;
        let groups: Groups = serde_json::from_slice(&text)
            .map_err(|error| Problem::new(format!("cannot read what the server serves ({path})")).because(error))?;
        if groups.kind == "APIGroupDiscoveryList" {
            groups.items.iter().for_each(|group| aggregated(group, &mut served));
        } else {
            legacy(cluster, path, &text, &mut served).await?;
        }
    }
    Ok(served)
}

/// The preferred version comes first; a resource that only a later one has is taken from there.
fn aggregated(group: &Group, served: &mut Served) {
    for version in &group.versions {
        if version.freshness == "Stale" {
            served.silent.push(group.metadata.name.clone());
        }
        for resource in &version.resources {
            add(
                &mut served.kinds,
                &group.metadata.name,
                &version.name,
                &Found {
                    plural: &resource.plural,
                    kind: resource.response_kind.as_ref().map_or("", |kind| kind.kind.as_str()),
                    namespaced: resource.scope == "Namespaced",
                    singular: &resource.singular,
                    short: &resource.short_names,
                    verbs: &resource.verbs,
                },
            );
        }
    }
}

struct Found<'a> {
    plural: &'a str,
    kind: &'a str,
    namespaced: bool,
    singular: &'a str,
    short: &'a [String],
    verbs: &'a [String],
}

fn add(kinds: &mut Vec<KindInfo>, group: &str, version: &str, found: &Found<'_>) {
    let listed = found.verbs.iter().any(|verb| verb == "list");
    let known = kinds.iter().any(|kind| kind.group == group && kind.plural == found.plural);
    if !listed || known || found.plural.contains('/') {
        return;
    }
    let mut aliases: Vec<_> = found.short.iter().map(|name| name.clone().into()).collect();
    if !found.singular.is_empty() && found.singular != found.plural {
        aliases.push(found.singular.to_owned().into());
    }
    kinds.push(KindInfo {
        plural: found.plural.to_owned().into(),
        kind: found.kind.to_owned().into(),
        group: group.to_owned().into(),
        version: version.to_owned().into(),
        namespaced: found.namespaced,
        aliases,
        sort: None,
        served: true,
        watchable: found.verbs.iter().any(|verb| verb == "watch"),
        verbs: found.verbs.to_vec(),
        own: false,
        joins: &[],
        origin: Origin::Server,
    });
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LegacyGroups {
    versions: Vec<String>,
    groups: Vec<LegacyGroup>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LegacyGroup {
    name: String,
    versions: Vec<LegacyVersion>,
    preferred_version: LegacyVersion,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LegacyVersion {
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LegacyResources {
    resources: Vec<LegacyResource>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LegacyResource {
    name: String,
    kind: String,
    namespaced: bool,
    singular_name: String,
    short_names: Vec<String>,
    verbs: Vec<String>,
}

async fn legacy(cluster: &Cluster, root: &str, text: &[u8], served: &mut Served) -> Result<(), Problem> {
    let found: LegacyGroups = serde_json::from_slice(text)
        .map_err(|error| Problem::new(format!("cannot read what the server serves ({root})")).because(error))?;
    let core = found.versions.into_iter().map(|version| (String::new(), version));
    let groups = found.groups.into_iter().flat_map(|group| {
        let preferred = group.preferred_version.version;
        let mut versions: Vec<String> = group.versions.into_iter().map(|version| version.version).collect();
        versions.sort_by_key(|version| *version != preferred);
        versions.into_iter().map(move |version| (group.name.clone(), version))
    });
    for (group, version) in core.chain(groups) {
        let path = if group.is_empty() { format!("{root}/{version}") } else { format!("{root}/{group}/{version}") };
        // A group whose server is down costs its own kinds only.
        let resources: LegacyResources = match json(cluster, &path).await {
            Ok(resources) => resources,
            Err(problem) => {
                tracing::warn!("{problem}");
                served.silent.push(group);
                continue;
            }
        };
        for resource in &resources.resources {
            add(
                &mut served.kinds,
                &group,
                &version,
                &Found {
                    plural: &resource.name,
                    kind: &resource.kind,
                    namespaced: resource.namespaced,
                    singular: &resource.singular_name,
                    short: &resource.short_names,
                    verbs: &resource.verbs,
                },
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> Served {
        let mut served = Served::default();
        aggregated(&serde_json::from_str(text).unwrap(), &mut served);
        served
    }

    #[test]
    fn the_preferred_version_counts_and_what_cannot_be_listed_does_not() {
        let served = group(
            r#"{"metadata":{"name":"x.io"},"versions":[
                {"version":"v2","resources":[
                    {"resource":"as","responseKind":{"kind":"A"},"scope":"Namespaced","shortNames":["aa"],
                     "singularResource":"a","verbs":["list","watch"]},
                    {"resource":"reviews","responseKind":{"kind":"R"},"scope":"Cluster","verbs":["create"]}]},
                {"version":"v1","resources":[
                    {"resource":"as","responseKind":{"kind":"A"},"scope":"Namespaced","verbs":["list"]},
                    {"resource":"bs","responseKind":{"kind":"B"},"scope":"Cluster","verbs":["list"]}]}]}"#,
        );
        let seen: Vec<_> = served.kinds.iter().map(|kind| (&*kind.plural, &*kind.version, kind.watchable)).collect();
        assert_eq!(seen, [("as", "v2", true), ("bs", "v1", false)]);
        assert_eq!(served.kinds[0].aliases, ["aa", "a"]);
        assert!(served.kinds[0].namespaced && !served.kinds[1].namespaced);
        assert_eq!(served.silent, [""; 0]);
    }

    #[test]
    fn a_group_whose_server_is_silent_is_not_taken_for_empty() {
        let served = group(r#"{"metadata":{"name":"m.io"},"versions":[{"version":"v1","freshness":"Stale"}]}"#);
        assert_eq!(served, Served { kinds: Vec::new(), silent: vec!["m.io".to_owned()] });
    }
}
