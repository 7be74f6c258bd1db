//! The kinds of the simulated cluster: names, scope and encoding of each, as discovery tells them.

use std::sync::OnceLock;

use crate::sim::encoding::schema::{MessageId, Schema};
use crate::sim::encoding::wire;

/// One resource of the API.
#[derive(Debug)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub kind: &'static str,
    pub short_names: &'static [&'static str],
    pub namespaced: bool,
    /// The message of its protobuf encoding; custom resources and metrics have none.
    message: &'static str,
    /// Fields that a field selector may name besides `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
    /// Defined by a CustomResourceDefinition.
    pub custom: bool,
}

/// The place of a resource in `ALL`, and of its table in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(usize);

macro_rules! ids {
    ($($name:ident = $at:expr;)*) => { $(pub const $name: ResourceId = ResourceId($at);)* };
}

ids! {
    NAMESPACES = 0; NODES = 1; PODS = 2; SERVICES = 3; EVENTS = 4; CONFIG_MAPS = 5; SECRETS = 6;
    DEPLOYMENTS = 7; REPLICA_SETS = 8; STATEFUL_SETS = 9; DAEMON_SETS = 10; JOBS = 11; CRON_JOBS = 12;
    DISRUPTION_BUDGETS = 13; AUTOSCALERS = 14; DEFINITIONS = 15; NODE_METRICS = 16; POD_METRICS = 17;
    NODE_POOLS = 18; INGRESS_ROUTES = 19;
}

const fn resource(
    group: &'static str,
    version: &'static str,
    names: [&'static str; 3],
    short_names: &'static [&'static str],
    namespaced: bool,
    message: &'static str,
    fields: &'static [&'static str],
) -> Resource {
    let [plural, singular, kind] = names;
    Resource { group, version, plural, singular, kind, short_names, namespaced, message, fields, custom: false }
}

const fn custom(group: &'static str, version: &'static str, names: [&'static str; 3], namespaced: bool) -> Resource {
    Resource { custom: true, ..resource(group, version, names, &[], namespaced, "", &[]) }
}

/// In the order of the ids above; groups stand together, the core group first.
#[rustfmt::skip]
pub static ALL: [Resource; 20] = [
    resource("", "v1", ["namespaces", "namespace", "Namespace"], &["ns"], false, "core.v1.Namespace", &["status.phase"]),
    resource("", "v1", ["nodes", "node", "Node"], &["no"], false, "core.v1.Node", &["spec.unschedulable"]),
    resource("", "v1", ["pods", "pod", "Pod"], &["po"], true, "core.v1.Pod", &[
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
    ]),
    resource("", "v1", ["services", "service", "Service"], &["svc"], true, "core.v1.Service", &["spec.clusterIP", "spec.type"]),
    resource("", "v1", ["events", "event", "Event"], &["ev"], true, "core.v1.Event", &[
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ]),
    resource("", "v1", ["configmaps", "configmap", "ConfigMap"], &["cm"], true, "core.v1.ConfigMap", &[]),
    resource("", "v1", ["secrets", "secret", "Secret"], &[], true, "core.v1.Secret", &["type"]),
    resource("apps", "v1", ["deployments", "deployment", "Deployment"], &["deploy"], true, "apps.v1.Deployment", &[]),
    resource("apps", "v1", ["replicasets", "replicaset", "ReplicaSet"], &["rs"], true, "apps.v1.ReplicaSet", &["status.replicas"]),
    resource("apps", "v1", ["statefulsets", "statefulset", "StatefulSet"], &["sts"], true, "apps.v1.StatefulSet", &[]),
    resource("apps", "v1", ["daemonsets", "daemonset", "DaemonSet"], &["ds"], true, "apps.v1.DaemonSet", &[]),
    resource("batch", "v1", ["jobs", "job", "Job"], &[], true, "batch.v1.Job", &["status.successful"]),
    resource("batch", "v1", ["cronjobs", "cronjob", "CronJob"], &["cj"], true, "batch.v1.CronJob", &[]),
    resource("policy", "v1", ["poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget"], &["pdb"], true, "policy.v1.PodDisruptionBudget", &[]),
    resource("autoscaling", "v2", ["horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler"], &["hpa"], true, "autoscaling.v2.HorizontalPodAutoscaler", &[]),
    resource("apiextensions.k8s.io", "v1", ["customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition"], &["crd", "crds"], false, "apiextensions.v1.CustomResourceDefinition", &[]),
    resource("metrics.k8s.io", "v1beta1", ["nodes", "", "NodeMetrics"], &[], false, "", &[]),
    resource("metrics.k8s.io", "v1beta1", ["pods", "", "PodMetrics"], &[], true, "", &[]),
    custom("karpenter.sh", "v1", ["nodepools", "nodepool", "NodePool"], false),
    custom("traefik.io", "v1alpha1", ["ingressroutes", "ingressroute", "IngressRoute"], true),
];

/// What encoding a kind takes, worked out once.
#[derive(Debug)]
pub struct Encoding {
    /// `None`: JSON only.
    pub message: Option<MessageId>,
    /// The encoded `TypeMeta` of one object.
    pub type_meta: Vec<u8>,
}

impl ResourceId {
    pub fn all() -> impl Iterator<Item = Self> {
        (0..ALL.len()).map(Self)
    }

    pub fn index(self) -> usize {
        self.0
    }

    pub fn find(group: &str, version: &str, plural: &str) -> Option<Self> {
        Self::all().find(|id| id.group == group && id.version == version && id.plural == plural)
    }

    pub fn encoding(self) -> &'static Encoding {
        static ENCODINGS: OnceLock<Vec<Encoding>> = OnceLock::new();
        let encodings = ENCODINGS.get_or_init(|| {
            ALL.iter()
                .map(|resource| Encoding {
                    message: Schema::get().id(resource.message),
                    type_meta: wire::type_meta(&resource.api_version(), resource.kind),
                })
                .collect()
        });
        &encodings[self.0]
    }
}

impl std::ops::Deref for ResourceId {
    type Target = Resource;

    fn deref(&self) -> &Resource {
        &ALL[self.0]
    }
}

impl Resource {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As error messages name it: `pods`, `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Metrics are computed when asked for and cannot be watched or changed.
    pub fn is_metrics(&self) -> bool {
        self.group == "metrics.k8s.io"
    }

    pub fn verbs(&self) -> &'static [&'static str] {
        if self.is_metrics() {
            &["get", "list"]
        } else {
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_name_what_they_say() {
        for (id, plural) in [
            (PODS, "pods"),
            (SECRETS, "secrets"),
            (CRON_JOBS, "cronjobs"),
            (DEFINITIONS, "customresourcedefinitions"),
            (INGRESS_ROUTES, "ingressroutes"),
        ] {
            assert_eq!(id.plural, plural);
        }
        for id in ResourceId::all() {
            assert_eq!(id.encoding().message.is_some(), !id.message.is_empty(), "{} lacks its message", id.kind);
        }
    }
}
