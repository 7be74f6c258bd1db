//! What the server serves: aggregated discovery (two requests), or the legacy one (a request a group) where a server is
//! older than that. Every kind becomes a table.

use serde::Deserialize;

use super::{
    cluster::Cluster,
    fetch::{body, json},
};
use crate::{kinds::KindInfo, problem::Problem};

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
    version: String,
    resources: Vec<Resource>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    resource: String,
    response_kind: Option<ResponseKind>,
    scope: String,
    short_names: Vec<String>,
    singular_resource: String,
    verbs: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseKind {
    kind: String,
}

/// Every kind that can be listed.
pub async fn run(cluster: &Cluster) -> Result<Vec<KindInfo>, Problem> {
    let mut kinds = Vec::new();
    for path in ["/api", "/apis"] {
        let text = body(cluster, path, AGGREGATED).await?;
        let groups: Groups = serde_json::from_slice(&text)
            .map_err(|error| Problem::new(format!("cannot read what the server serves ({path})")).because(error))?;
        if groups.kind == "APIGroupDiscoveryList" {
            groups.items.iter().for_each(|group| aggregated(group, &mut kinds));
        } else {
            legacy(cluster, path, &text, &mut kinds).await?;
        }
    }
    Ok(kinds)
}

/// The preferred version comes first; a resource that only a later one has is taken from there.
fn aggregated(group: &Group, kinds: &mut Vec<KindInfo>) {
    for version in &group.versions {
        for resource in &version.resources {
            add(
                kinds,
                &group.metadata.name,
                &version.version,
                Found {
                    plural: &resource.resource,
                    kind: resource.response_kind.as_ref().map_or("", |kind| kind.kind.as_str()),
                    namespaced: resource.scope == "Namespaced",
                    singular: &resource.singular_resource,
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

fn add(kinds: &mut Vec<KindInfo>, group: &str, version: &str, found: Found<'_>) {
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
        local: false,
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

async fn legacy(cluster: &Cluster, root: &str, text: &[u8], kinds: &mut Vec<KindInfo>) -> Result<(), Problem> {
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
                continue;
            }
        };
        for resource in &resources.resources {
            add(
                kinds,
                &group,
                &version,
                Found {
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
