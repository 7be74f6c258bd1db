//! The kinds of the simulated cluster: names, scope and encoding of each, as discovery tells them.

use std::sync::OnceLock;

use crate::encoding::schema::{MessageId, Schema};
use crate::encoding::wire;

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
    NAMESPACES = 0; NODES = 1; PODS = 2; SERVICES = 3; EVENTS = 4; CONFIG_MAPS = 5; SECRETS = 6; CLAIMS = 7;
    VOLUMES = 8; ACCOUNTS = 9; QUOTAS = 10; LIMITS = 11; DEPLOYMENTS = 12; REPLICA_SETS = 13; STATEFUL_SETS = 14;
    DAEMON_SETS = 15; REVISIONS = 16; JOBS = 17; CRON_JOBS = 18; DISRUPTION_BUDGETS = 19; AUTOSCALERS = 20;
    INGRESSES = 21; INGRESS_CLASSES = 22; NETWORK_POLICIES = 23; STORAGE_CLASSES = 24; CSI_DRIVERS = 25; ROLES = 26;
    ROLE_BINDINGS = 27; CLUSTER_ROLES = 28; CLUSTER_ROLE_BINDINGS = 29; LEASES = 30; ENDPOINT_SLICES = 31;
    PRIORITY_CLASSES = 32; MUTATING_WEBHOOKS = 33; VALIDATING_WEBHOOKS = 34; API_SERVICES = 35; DEFINITIONS = 36;
    NODE_METRICS = 37; POD_METRICS = 38; NODE_POOLS = 39; NODE_CLAIMS = 40; NODE_CLASSES = 41;
    INGRESS_ROUTES = 42;
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

const fn custom(
    group: &'static str,
    version: &'static str,
    names: [&'static str; 3],
    short_names: &'static [&'static str],
    namespaced: bool,
) -> Resource {
    Resource { custom: true, ..resource(group, version, names, short_names, namespaced, "", &[]) }
}

/// In the order of the ids above; groups stand together, the core group first.
#[rustfmt::skip]
pub static ALL: [Resource; 43] = [
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
    resource("", "v1", ["persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim"], &["pvc"], true, "core.v1.PersistentVolumeClaim", &[]),
    resource("", "v1", ["persistentvolumes", "persistentvolume", "PersistentVolume"], &["pv"], false, "core.v1.PersistentVolume", &[]),
    resource("", "v1", ["serviceaccounts", "serviceaccount", "ServiceAccount"], &["sa"], true, "core.v1.ServiceAccount", &[]),
    resource("", "v1", ["resourcequotas", "resourcequota", "ResourceQuota"], &["quota"], true, "core.v1.ResourceQuota", &[]),
    resource("", "v1", ["limitranges", "limitrange", "LimitRange"], &["limits"], true, "core.v1.LimitRange", &[]),
    resource("apps", "v1", ["deployments", "deployment", "Deployment"], &["deploy"], true, "apps.v1.Deployment", &[]),
    resource("apps", "v1", ["replicasets", "replicaset", "ReplicaSet"], &["rs"], true, "apps.v1.ReplicaSet", &[]),
    resource("apps", "v1", ["statefulsets", "statefulset", "StatefulSet"], &["sts"], true, "apps.v1.StatefulSet", &[]),
    resource("apps", "v1", ["daemonsets", "daemonset", "DaemonSet"], &["ds"], true, "apps.v1.DaemonSet", &[]),
    resource("apps", "v1", ["controllerrevisions", "controllerrevision", "ControllerRevision"], &[], true, "apps.v1.ControllerRevision", &[]),
    resource("batch", "v1", ["jobs", "job", "Job"], &[], true, "batch.v1.Job", &["status.successful"]),
    resource("batch", "v1", ["cronjobs", "cronjob", "CronJob"], &["cj"], true, "batch.v1.CronJob", &[]),
    resource("policy", "v1", ["poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget"], &["pdb"], true, "policy.v1.PodDisruptionBudget", &[]),
    resource("autoscaling", "v2", ["horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler"], &["hpa"], true, "autoscaling.v2.HorizontalPodAutoscaler", &[]),
    resource("networking.k8s.io", "v1", ["ingresses", "ingress", "Ingress"], &["ing"], true, "networking.v1.Ingress", &[]),
    resource("networking.k8s.io", "v1", ["ingressclasses", "ingressclass", "IngressClass"], &[], false, "networking.v1.IngressClass", &[]),
    resource("networking.k8s.io", "v1", ["networkpolicies", "networkpolicy", "NetworkPolicy"], &["netpol"], true, "networking.v1.NetworkPolicy", &[]),
    resource("storage.k8s.io", "v1", ["storageclasses", "storageclass", "StorageClass"], &["sc"], false, "storage.v1.StorageClass", &[]),
    resource("storage.k8s.io", "v1", ["csidrivers", "csidriver", "CSIDriver"], &[], false, "storage.v1.CSIDriver", &[]),
    resource(RBAC, "v1", ["roles", "role", "Role"], &[], true, "rbac.v1.Role", &[]),
    resource(RBAC, "v1", ["rolebindings", "rolebinding", "RoleBinding"], &[], true, "rbac.v1.RoleBinding", &[]),
    resource(RBAC, "v1", ["clusterroles", "clusterrole", "ClusterRole"], &[], false, "rbac.v1.ClusterRole", &[]),
    resource(RBAC, "v1", ["clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding"], &[], false, "rbac.v1.ClusterRoleBinding", &[]),
    resource("coordination.k8s.io", "v1", ["leases", "lease", "Lease"], &[], true, "coordination.v1.Lease", &[]),
    resource("discovery.k8s.io", "v1", ["endpointslices", "endpointslice", "EndpointSlice"], &[], true, "discovery.v1.EndpointSlice", &[]),
    resource("scheduling.k8s.io", "v1", ["priorityclasses", "priorityclass", "PriorityClass"], &["pc"], false, "scheduling.v1.PriorityClass", &[]),
    resource(ADMISSION, "v1", ["mutatingwebhookconfigurations", "mutatingwebhookconfiguration", "MutatingWebhookConfiguration"], &[], false, "admissionregistration.v1.MutatingWebhookConfiguration", &[]),
    resource(ADMISSION, "v1", ["validatingwebhookconfigurations", "validatingwebhookconfiguration", "ValidatingWebhookConfiguration"], &[], false, "admissionregistration.v1.ValidatingWebhookConfiguration", &[]),
    resource("apiregistration.k8s.io", "v1", ["apiservices", "apiservice", "APIService"], &[], false, "apiregistration.v1.APIService", &[]),
    resource("apiextensions.k8s.io", "v1", ["customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition"], &["crd", "crds"], false, "apiextensions.v1.CustomResourceDefinition", &[]),
    resource("metrics.k8s.io", "v1beta1", ["nodes", "", "NodeMetrics"], &[], false, "", &[]),
    resource("metrics.k8s.io", "v1beta1", ["pods", "", "PodMetrics"], &[], true, "", &[]),
    custom("karpenter.sh", "v1", ["nodepools", "nodepool", "NodePool"], &[], false),
    custom("karpenter.sh", "v1", ["nodeclaims", "nodeclaim", "NodeClaim"], &[], false),
    custom("karpenter.k8s.aws", "v1", ["ec2nodeclasses", "ec2nodeclass", "EC2NodeClass"], &["ec2nc", "ec2ncs"], false),
    custom("traefik.io", "v1alpha1", ["ingressroutes", "ingressroute", "IngressRoute"], &[], true),
];

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

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

    /// The name of its protobuf message; empty where it has none.
    pub fn message(&self) -> &'static str {
        self.message
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
        } else if self.custom {
            &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
        } else if self.kind == "Namespace" {
            // They go one by one.
            &["create", "delete", "get", "list", "patch", "update", "watch"]
        } else {
            CHANGED
        }
    }

    /// Groups of kinds that kubectl lists together.
    pub fn categories(&self) -> &'static [&'static str] {
        match (self.group, self.kind) {
            ("apps", "ControllerRevision") => &[],
            ("", "Pod" | "Service") | ("apps" | "batch" | "autoscaling", _) => &["all"],
            ("apiextensions.k8s.io" | "apiregistration.k8s.io" | "admissionregistration.k8s.io", _) => {
                &["api-extensions"]
            }
            ("karpenter.sh" | "karpenter.k8s.aws", _) => &["karpenter"],
            _ => &[],
        }
    }

    /// Whether a deletion answers with the object as it was, and not with a word.
    pub fn tells_last_state(&self) -> bool {
        matches!(
            (self.group, self.kind),
            ("storage.k8s.io", _)
                | (
                    "",
                    "Pod"
                        | "Service"
                        | "Namespace"
                        | "ServiceAccount"
                        | "PersistentVolume"
                        | "PersistentVolumeClaim"
                        | "ResourceQuota"
                )
        )
    }

    /// Whether the server counts the changes of its objects' specs.
    pub fn counts_changes(&self) -> bool {
        match self.group {
            "" => self.kind == "Pod",
            "autoscaling" | "rbac.authorization.k8s.io" | "storage.k8s.io" | "coordination.k8s.io" => false,
            "apps" => self.kind != "ControllerRevision",
            _ => true,
        }
    }
}

const CHANGED: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

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
            (NODE_POOLS, "nodepools"),
            (NODE_CLAIMS, "nodeclaims"),
            (NODE_CLASSES, "ec2nodeclasses"),
            (INGRESS_ROUTES, "ingressroutes"),
        ] {
            assert_eq!(id.plural, plural);
        }
        for id in ResourceId::all() {
            assert_eq!(id.encoding().message.is_some(), !id.message.is_empty(), "{} lacks its message", id.kind);
        }
    }
}
