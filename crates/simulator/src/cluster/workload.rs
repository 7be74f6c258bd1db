//! A workload of the simulated cluster: what its pods share, and the objects that own them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::node::{ACCOUNT, GROUPS, Make, REGION};
use super::pod::State;
use super::pod_object::{self, Shared};
use super::scheduler::Needs;
use super::site::DEMO;
use crate::encoding::template::{Hole, Short};
use crate::object::Template;
use crate::random::Random;

/// What creates the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    /// Nothing: a client made the pod itself.
    Bare,
}

#[derive(Debug, Clone, Default)]
pub struct Container {
    pub name: String,
    pub image: String,
    /// Millicores; 0: none.
    pub cpu: u32,
    pub memory_mib: u32,
    /// Limits are this many times the requests; 0: none.
    pub limit: u32,
    pub gpus: u32,
    pub port: u16,
    /// Names and values.
    pub env: Vec<(String, String)>,
    /// Volumes and paths.
    pub mounts: Vec<(String, String)>,
    pub probes: bool,
    /// An init container that goes on running (`restartPolicy: Always`).
    pub sidecar: bool,
    /// The container as a client gave it, in place of all but its name, image and requests.
    pub given: Option<Value>,
}

#[derive(Debug, Clone)]
pub struct Workload {
    pub namespace: Arc<str>,
    pub name: String,
    pub controller: Controller,
    pub uid: u128,
    /// The replica set's, for a deployment.
    pub set_uid: u128,
    pub hash: String,
    /// Seconds since 1970.
    pub created: i64,
    pub replicas: u32,
    /// The node groups that it may run on, by their place in `GROUPS`; empty: every one (daemon sets).
    pub groups: Vec<usize>,
    pub containers: Vec<Container>,
    pub init: Vec<Container>,
    pub host_network: bool,
    pub critical: bool,
    pub annotations: Value,
    /// The team and the part of the product that labels name.
    pub team: String,
    pub part_of: String,
    pub version: String,
    /// The cron job that made this job.
    pub cron_job: Option<(String, u128)>,
    /// The Fargate profile that runs its pods.
    pub fargate: Option<&'static str>,
    /// The pod template as a client gave it, in place of what the fields say.
    pub template: Option<Value>,
    /// `template` is a pod that has been through admission.
    pub admitted: bool,
    pub finalizers: Value,
    /// How many nodes the cluster began with: unschedulable pods tell it.
    pub cluster_nodes: u32,
    /// What all its pods have in common, once it was needed.
    pub shared: OnceLock<Arc<Shared>>,
    /// What its pods ask of a node, once it was needed.
    pub needs: OnceLock<Needs>,
}

/// The pod templates that were needed so far: one for each workload and state.
#[derive(Debug, Default)]
pub struct Templates(HashMap<(usize, State), (Arc<Workload>, Arc<Template>)>);

/// So many templates are kept before those of workloads that are gone go.
const TEMPLATES: usize = 20_000;

impl Templates {
    pub fn of(&mut self, workload: &Arc<Workload>, state: State) -> Arc<Template> {
        if self.0.len() > TEMPLATES {
            self.0.retain(|_, (_, template)| Arc::strong_count(template) > 1);
        }
        // The workload is kept along with its template, so that its address stays its own.
        let template = || {
            let made_of = Arc::clone(workload);
            (Arc::clone(workload), Arc::new(Template::new(move || pod_object::parts(&made_of, state))))
        };
        Arc::clone(&self.0.entry((Arc::as_ptr(workload).addr(), state)).or_insert_with(template).1)
    }
}

impl Container {
    /// The digest that the registry would have given: the same for the same image.
    pub fn image_id(&self) -> String {
        let mut random = Random::named(0, &self.image);
        let words = [random.next(), random.next(), random.next(), random.next()];
        let repository = self.image.rsplit_once(':').map_or(self.image.as_str(), |(repository, _)| repository);
        format!("{repository}@sha256:{}", Short::hex(&words).as_str())
    }

    pub fn resources(&self) -> Option<Value> {
        if let Some(given) = &self.given {
            return Some(given["resources"].clone()).filter(Value::is_object);
        }
        if self.cpu == 0 {
            return None;
        }
        let memory = |mib: u32| if mib.is_multiple_of(1024) { format!("{}Gi", mib / 1024) } else { format!("{mib}Mi") };
        let cpu =
            |milli: u32| if milli.is_multiple_of(1000) { (milli / 1000).to_string() } else { format!("{milli}m") };
        let mut requests = json!({ "cpu": cpu(self.cpu), "memory": memory(self.memory_mib) });
        let mut limits = json!({ "cpu": cpu(self.cpu * self.limit), "memory": memory(self.memory_mib * self.limit) });
        if self.gpus > 0 {
            requests["nvidia.com/gpu"] = self.gpus.to_string().into();
            limits["nvidia.com/gpu"] = self.gpus.to_string().into();
        }
        Some(if self.limit == 0 {
            json!({ "requests": requests })
        } else {
            json!({ "requests": requests, "limits": limits })
        })
    }

    fn spec(&self) -> Value {
        let mut spec = json!({
            "name": self.name, "image": self.image, "imagePullPolicy": "IfNotPresent",
            "resources": self.resources().unwrap_or_else(|| json!({})),
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        });
        if self.sidecar {
            spec["restartPolicy"] = "Always".into();
        }
        if self.port > 0 {
            spec["ports"] = json!([
                { "name": "http", "containerPort": self.port, "protocol": "TCP" },
                { "name": "metrics", "containerPort": self.port + 1000, "protocol": "TCP" },
            ]);
        }
        if !self.env.is_empty() {
            spec["env"] = self.env.iter().map(environment).collect();
        }
        if !self.mounts.is_empty() {
            spec["volumeMounts"] =
                self.mounts.iter().map(|(volume, path)| json!({ "name": volume, "mountPath": path })).collect();
        }
        if self.probes {
            let probe = |path: &str, period: u32| {
                json!({
                    "httpGet": { "path": path, "port": "http", "scheme": "HTTP" },
                    "initialDelaySeconds": 5, "timeoutSeconds": 2, "periodSeconds": period, "successThreshold": 1,
                    "failureThreshold": 3,
                })
            };
            spec["livenessProbe"] = probe("/healthz", 10);
            spec["readinessProbe"] = probe("/ready", 5);
            spec["securityContext"] = json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 1000,
                "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
            });
        }
        spec
    }
}

/// A value may refer to a field (`field:`) or a secret (`secret:NAME/KEY`).
fn environment((name, value): &(String, String)) -> Value {
    if let Some(path) = value.strip_prefix("field:") {
        return json!({ "name": name, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": path } } });
    }
    if let Some((secret, key)) = value.strip_prefix("secret:").and_then(|secret| secret.split_once('/')) {
        return json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    }
    json!({ "name": name, "value": value })
}

impl Workload {
    pub fn selector_labels(&self) -> Value {
        json!({ "app.kubernetes.io/name": self.name, "app.kubernetes.io/instance": format!("{}-{}", self.namespace, self.name) })
    }

    /// The labels of the pod template.
    pub fn template_labels(&self) -> Value {
        if let Some(template) = &self.template {
            return template["metadata"]["labels"].clone();
        }
        let mut labels = self.selector_labels();
        labels["app.kubernetes.io/version"] = self.version.clone().into();
        labels["app.kubernetes.io/part-of"] = self.part_of.clone().into();
        labels["app.kubernetes.io/managed-by"] = "Helm".into();
        labels["team"] = self.team.clone().into();
        labels
    }

    pub fn pod_labels(&self) -> Value {
        let mut labels = self.template_labels();
        match self.controller {
            Controller::Deployment => labels["pod-template-hash"] = self.hash.clone().into(),
            Controller::StatefulSet => {
                labels["apps.kubernetes.io/pod-index"] = Hole::Ordinal.into();
                labels["controller-revision-hash"] = format!("{}-{}", self.name, self.hash).into();
                labels["statefulset.kubernetes.io/pod-name"] = Hole::Name.into();
            }
            Controller::Bare => {}
            Controller::DaemonSet => {
                labels["controller-revision-hash"] = self.hash.clone().into();
                labels["pod-template-generation"] = "3".into();
            }
            Controller::Job => {
                let uid = Short::uuid(self.uid);
                labels["batch.kubernetes.io/controller-uid"] = uid.as_str().into();
                labels["batch.kubernetes.io/job-name"] = self.name.clone().into();
                labels["controller-uid"] = uid.as_str().into();
                labels["job-name"] = self.name.clone().into();
            }
        }
        labels
    }

    pub fn generate_name(&self) -> String {
        match self.controller {
            Controller::Deployment => format!("{}-{}-", self.name, self.hash),
            _ => format!("{}-", self.name),
        }
    }

    pub fn pod_owner(&self) -> Value {
        let (api_version, kind, name, uid) = match self.controller {
            Controller::Deployment => ("apps/v1", "ReplicaSet", format!("{}-{}", self.name, self.hash), self.set_uid),
            Controller::StatefulSet => ("apps/v1", "StatefulSet", self.name.clone(), self.uid),
            Controller::DaemonSet => ("apps/v1", "DaemonSet", self.name.clone(), self.uid),
            Controller::Job => ("batch/v1", "Job", self.name.clone(), self.uid),
            Controller::Bare => return Value::Null,
        };
        owner(api_version, kind, &name, uid)
    }

    pub fn priority(&self) -> i64 {
        if !self.critical {
            0
        } else if self.controller == Controller::DaemonSet {
            2_000_001_000
        } else {
            2_000_000_000
        }
    }

    pub fn qos_class(&self) -> &'static str {
        let all = || self.containers.iter().chain(&self.init);
        if all().all(|container| container.cpu == 0) {
            "BestEffort"
        } else if all().all(|container| container.limit == 1) {
            "Guaranteed"
        } else {
            "Burstable"
        }
    }

    /// Millicores that one pod asks for.
    pub fn cpu(&self) -> u32 {
        self.containers.iter().chain(self.init.iter().filter(|container| container.sidecar)).map(|one| one.cpu).sum()
    }

    pub fn unschedulable_message(&self) -> String {
        let nodes = self.cluster_nodes;
        let other = nodes / 4;
        let full = nodes - other;
        format!(
            "0/{nodes} nodes are available: {other} node(s) didn't match Pod's node affinity/selector, {full} Insufficient \
             cpu. preemption: 0/{nodes} nodes are available: {other} Preemption is not helpful for scheduling, {full} No \
             preemption victims found for incoming pod."
        )
    }

    fn volumes(&self) -> Vec<Value> {
        let mut names: Vec<&str> = Vec::new();
        for (volume, _) in self.containers.iter().chain(&self.init).flat_map(|container| &container.mounts) {
            if !names.contains(&volume.as_str()) && volume != "data" {
                names.push(volume);
            }
        }
        names
            .into_iter()
            .map(|name| match name {
                "config" => json!({ "name": name, "configMap": { "name": format!("{}-config", self.name), "defaultMode": 420 } }),
                "tls" => json!({ "name": name, "secret": { "secretName": format!("{}-tls", self.name), "defaultMode": 420 } }),
                "host" => json!({ "name": name, "hostPath": { "path": "/var/log", "type": "" } }),
                "aws-iam-token" => json!({ "name": name, "projected": { "defaultMode": 420, "sources": [
                    { "serviceAccountToken": { "audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token" } },
                ] } }),
                _ => json!({ "name": name, "emptyDir": {} }),
            })
            .collect()
    }

    /// Gives a stateful set's pod the volume of its own claim.
    fn claims(&self, spec: &mut Value) {
        let mounted =
            self.containers.iter().any(|container| container.mounts.iter().any(|(volume, _)| volume == "data"));
        if !mounted {
            return;
        }
        let claim = json!({ "name": "data", "persistentVolumeClaim": { "claimName": format!("data-{}", Hole::Name) } });
        match spec["volumes"].as_array_mut() {
            Some(volumes) => volumes.insert(0, claim),
            None => spec["volumes"] = json!([claim]),
        }
    }

    /// The uid of what owns its pods.
    pub fn owner_uid(&self) -> u128 {
        match self.controller {
            Controller::Deployment => self.set_uid,
            _ => self.uid,
        }
    }

    pub fn needs(&self) -> &Needs {
        self.needs.get_or_init(|| Needs::of(self))
    }

    /// The pod template's spec.
    pub fn pod_spec(&self) -> Value {
        if let Some(template) = &self.template {
            let mut spec = template["spec"].clone();
            if self.controller == Controller::StatefulSet && !self.admitted {
                self.claims(&mut spec);
            }
            return spec;
        }
        let mut spec = json!({
            "containers": self.containers.iter().map(Container::spec).collect::<Vec<_>>(),
            "restartPolicy": if self.controller == Controller::Job { "Never" } else { "Always" },
            "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "serviceAccountName": self.name, "serviceAccount": self.name,
            "securityContext": if self.host_network { json!({}) } else { json!({ "fsGroup": 1000 }) },
        });
        if !self.init.is_empty() {
            spec["initContainers"] = self.init.iter().map(Container::spec).collect();
        }
        let volumes = self.volumes();
        if !volumes.is_empty() {
            spec["volumes"] = volumes.into();
        }
        if self.controller == Controller::StatefulSet {
            self.claims(&mut spec);
        }
        if self.host_network {
            spec["hostNetwork"] = true.into();
        }
        if self.critical {
            let class = if self.controller == Controller::DaemonSet {
                "system-node-critical"
            } else {
                "system-cluster-critical"
            };
            spec["priorityClassName"] = class.into();
        }
        let taints = self.groups.iter().filter_map(|&group| GROUPS[group].taint);
        let mut tolerations: Vec<_> = taints
            .map(|(key, value)| json!({ "key": key, "operator": "Equal", "value": value, "effect": "NoSchedule" }))
            .collect();
        if self.controller == Controller::DaemonSet {
            tolerations.push(json!({ "operator": "Exists" }));
            // As EKS's own daemons have it: Fargate runs none.
            spec["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [
                    { "key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"] },
                ] }],
            } } });
        }
        if !tolerations.is_empty() {
            spec["tolerations"] = tolerations.into();
        }
        // A world too small to have the group at all runs everything anywhere.
        if let [group] = self.groups[..]
            && (group == 0 || self.cluster_nodes * DEMO.share(group) >= 100)
        {
            let label = match GROUPS[group].make {
                Make::Karpenter => "karpenter.sh/nodepool",
                Make::Managed => "eks.amazonaws.com/nodegroup",
                Make::SelfManaged => "alpha.eksctl.io/nodegroup-name",
                Make::Fargate => "eks.amazonaws.com/compute-type",
            };
            spec["nodeSelector"] = json!({ label: GROUPS[group].name });
        }
        if matches!(self.controller, Controller::Deployment | Controller::StatefulSet) {
            spec["topologySpreadConstraints"] = json!([{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": self.selector_labels() },
            }]);
        }
        spec
    }
}

/// A reference to the controller `name`.
pub fn owner(api_version: &str, kind: &str, name: &str, uid: u128) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name, "uid": Short::uuid(uid).as_str(), "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// An image of the company's own registry.
pub fn own_image(repository: &str, tag: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{repository}:{tag}")
}
