//! A pod of the simulated cluster: a few numbers, and the template of its workload and state.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::managed::managed_fields;
use super::node::Machine;
use super::workload::{Container, Controller, Templates, Workload};
use crate::sim::encoding::template::{Fill, Filling, Hole, Short};
use crate::sim::object::Template;
use crate::sim::random::{Random, low};

/// What a pod is doing, in as many flavours as `kubectl get pods` has words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Running,
    /// Runs again after its container failed.
    Restarted,
    /// Runs again after its container was killed for its memory.
    OomRestarted,
    NotReady,
    CrashLoop,
    OomLoop,
    ImagePull,
    ConfigError,
    Creating,
    /// The first init container runs.
    Initializing,
    InitCrash,
    /// No node fits.
    Pending,
    Gated,
    Succeeded,
    Failed,
    Evicted,
    Terminating,
    /// Its node does not answer.
    NodeLost,
}

impl State {
    pub fn phase(self) -> &'static str {
        match self {
            Self::ImagePull
            | Self::ConfigError
            | Self::Creating
            | Self::Initializing
            | Self::InitCrash
            | Self::Pending
            | Self::Gated => "Pending",
            Self::Succeeded => "Succeeded",
            Self::Failed | Self::Evicted => "Failed",
            _ => "Running",
        }
    }

    pub fn is_ready(self) -> bool {
        matches!(self, Self::Running | Self::Restarted | Self::OomRestarted)
    }

    pub fn has_node(self) -> bool {
        !matches!(self, Self::Pending | Self::Gated)
    }

    fn is_deleted(self) -> bool {
        matches!(self, Self::Terminating | Self::NodeLost)
    }

    /// Its sandbox is up: the pod has an address.
    fn has_address(self) -> bool {
        self.has_node() && !matches!(self, Self::Creating | Self::Evicted)
    }

    fn is_initialized(self) -> bool {
        self.has_node() && !matches!(self, Self::Initializing | Self::InitCrash)
    }
}

#[derive(Debug, Clone)]
pub struct Pod {
    pub workload: Arc<Workload>,
    pub template: Arc<Template>,
    pub state: State,
    pub node: Option<Arc<Machine>>,
    pub uid: u128,
    pub ip: u32,
    /// Seconds since 1970.
    pub created: i64,
    /// When the state began.
    pub changed: i64,
    pub restarts: u32,
    pub ordinal: u32,
}

impl Pod {
    pub fn node_name(&self) -> &str {
        self.node.as_ref().map_or("", |node| &node.name)
    }

    /// The same pod in another state.
    pub fn turn(&self, state: State, templates: &mut Templates, now: i64) -> Self {
        let mut pod = self.clone();
        pod.template = templates.of(&self.workload, state);
        pod.state = state;
        pod.changed = now;
        pod
    }
}

impl Fill for Pod {
    fn fill(&self, hole: Hole) -> Filling<'_> {
        let id = |at: u64| {
            let mut random = Random::new(low(self.uid).wrapping_add(at));
            Filling::Short(Short::hex(&[random.next(), random.next(), random.next(), random.next()]))
        };
        match hole {
            Hole::Uid | Hole::Machine | Hole::SystemUuid => Filling::Short(Short::uuid(self.uid)),
            Hole::Created => Filling::Time(self.created),
            Hole::Changed | Hole::Heartbeat | Hole::TryStarted => Filling::Time(self.changed),
            // Thirty seconds of grace.
            Hole::Deleted => Filling::Time(self.changed + 30),
            Hole::Started => Filling::Time(self.changed.min(self.created + 4 + i64::from(self.ip % 7))),
            Hole::TryFinished => Filling::Time(self.changed - 14),
            Hole::LastStarted => Filling::Time(self.changed - 15 - i64::from(self.ip % 600)),
            Hole::Restarts => Filling::Number(self.restarts.into()),
            Hole::Ordinal => Filling::Short(Short::new(format_args!("{}", self.ordinal))),
            Hole::Node => Filling::Text(self.node_name()),
            Hole::HostIp => address(self.node.as_ref().map_or(0, |node| node.ip)),
            Hole::Ip if self.workload.host_network => address(self.node.as_ref().map_or(0, |node| node.ip)),
            Hole::Ip => address(self.ip),
            Hole::Suffix => {
                const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
                let mut random = Random::of(self.uid);
                let mut letters = [0_u8; 5];
                letters.fill_with(|| ALPHABET[random.index(27)]);
                Filling::Short(Short::new(format_args!("{}", String::from_utf8_lossy(&letters))))
            }
            Hole::Container(at) => id(u64::from(at) * 1000 + u64::from(self.restarts)),
            Hole::LastContainer(at) => id(u64::from(at) * 1000 + u64::from(self.restarts) + 999),
            Hole::Name | Hole::Version | Hole::Instance => Filling::Text(""),
        }
    }
}

fn address(ip: u32) -> Filling<'static> {
    Filling::Short(Short::new(format_args!("{}", Ipv4Addr::from(ip))))
}

/// The pods of `workload` in `state`, as JSON with holes.
pub fn template(workload: &Workload, state: State) -> Value {
    let mut metadata = json!({
        "name": Hole::Name,
        "namespace": &*workload.namespace,
        "uid": Hole::Uid,
        "resourceVersion": Hole::Version,
        "creationTimestamp": Hole::Created,
        "labels": workload.pod_labels(),
    });
    if workload.controller != Controller::StatefulSet {
        metadata["generateName"] = workload.generate_name().into();
    }
    if !workload.annotations.is_null() {
        metadata["annotations"] = workload.annotations.clone();
    }
    metadata["ownerReferences"] = json!([workload.pod_owner()]);
    if state.is_deleted() {
        metadata["deletionTimestamp"] = Hole::Deleted.into();
        metadata["deletionGracePeriodSeconds"] = 30.into();
    }
    let spec = spec(workload, state);
    let status = status(workload, state);
    let mut created = spec.clone();
    if let (Some(created), Controller::StatefulSet | Controller::Deployment | Controller::Job) =
        (created.as_object_mut(), workload.controller)
    {
        created.remove("nodeName");
    }
    let set = json!({
        "metadata": {
            "generateName": metadata["generateName"], "annotations": metadata["annotations"],
            "labels": metadata["labels"], "ownerReferences": metadata["ownerReferences"],
        },
        "spec": created,
    });
    metadata["managedFields"] = json!([
        managed_fields("kube-controller-manager", "v1", Hole::Created, "", &set),
        managed_fields("kubelet", "v1", Hole::Changed, "status", &json!({ "status": status })),
    ]);
    json!({ "metadata": metadata, "spec": spec, "status": status })
}

/// What admission, the scheduler and the defaults make of the workload's pod template.
fn spec(workload: &Workload, state: State) -> Value {
    let mut spec = workload.pod_spec();
    let access = format!("kube-api-access-{}", Hole::Suffix);
    let mount =
        json!({ "name": access, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" });
    for group in ["containers", "initContainers"] {
        for container in spec[group].as_array_mut().into_iter().flatten() {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.push(mount.clone());
            } else {
                container["volumeMounts"] = json!([mount]);
            }
        }
    }
    let volume = json!({ "name": access, "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [
            { "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } },
        ] } },
    ] } });
    match spec["volumes"].as_array_mut() {
        Some(volumes) => volumes.push(volume),
        None => spec["volumes"] = json!([volume]),
    }
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    let no_execute = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute" });
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let mut toleration = no_execute(key);
        if workload.controller != Controller::DaemonSet {
            toleration["tolerationSeconds"] = 300.into();
        }
        tolerations.push(toleration);
    }
    if workload.controller == Controller::DaemonSet {
        for pressure in ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"] {
            let key = format!("node.kubernetes.io/{pressure}");
            tolerations.push(json!({ "key": key, "operator": "Exists", "effect": "NoSchedule" }));
        }
        spec["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchFields": [
                { "key": "metadata.name", "operator": "In", "values": [Hole::Node] },
            ] }],
        } } });
    }
    spec["tolerations"] = tolerations.into();
    spec["enableServiceLinks"] = true.into();
    spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    spec["priority"] = workload.priority().into();
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    if workload.controller == Controller::StatefulSet {
        spec["hostname"] = Hole::Name.into();
        spec["subdomain"] = workload.name.clone().into();
    }
    if state.has_node() {
        spec["nodeName"] = Hole::Node.into();
    }
    if state == State::Gated {
        spec["schedulingGates"] = json!([{ "name": "quota.example.com/approved" }]);
    }
    spec
}

fn condition(kind: &str, holds: bool, since: Hole) -> Value {
    json!({ "type": kind, "status": if holds { "True" } else { "False" }, "lastProbeTime": null,
        "lastTransitionTime": since })
}

fn status(workload: &Workload, state: State) -> Value {
    let mut status = json!({ "phase": state.phase(), "qosClass": workload.qos_class() });
    if !state.has_node() {
        let mut scheduled = condition("PodScheduled", false, Hole::Changed);
        let (reason, message) = match state {
            State::Gated => ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates".to_owned()),
            _ => ("Unschedulable", workload.unschedulable_message()),
        };
        scheduled["reason"] = reason.into();
        scheduled["message"] = message.into();
        status["conditions"] = json!([scheduled]);
        return status;
    }
    status["startTime"] = Hole::Created.into();
    if state == State::Evicted {
        status["reason"] = "Evicted".into();
        status["message"] =
            "The node was low on resource: ephemeral-storage. Threshold quantity: 4289437Ki, available: \
            3517640Ki. "
                .into();
    }
    if state == State::NodeLost {
        status["reason"] = "NodeLost".into();
        status["message"] = format!("Node {} which was running pod {} is unresponsive", Hole::Node, Hole::Name).into();
    }
    status["hostIP"] = Hole::HostIp.into();
    status["hostIPs"] = json!([{ "ip": Hole::HostIp }]);
    if state.has_address() {
        status["podIP"] = Hole::Ip.into();
        status["podIPs"] = json!([{ "ip": Hole::Ip }]);
    }
    let ready = state.is_ready() || state == State::Terminating;
    let finished = matches!(state, State::Succeeded | State::Failed | State::Evicted);
    let ready_condition = |kind: &str| {
        let mut condition = condition(kind, ready && !finished, Hole::Changed);
        if state == State::Succeeded {
            condition["reason"] = "PodCompleted".into();
        } else if finished {
            condition["reason"] = "PodFailed".into();
        } else if !ready {
            condition["reason"] = "ContainersNotReady".into();
            let names: Vec<_> = workload.containers.iter().map(|container| container.name.as_str()).collect();
            condition["message"] = format!("containers with unready status: [{}]", names.join(" ")).into();
        }
        condition
    };
    let mut initialized = condition("Initialized", state.is_initialized(), Hole::Created);
    if !state.is_initialized() {
        initialized["reason"] = "ContainersNotInitialized".into();
        let names: Vec<_> = workload.init.iter().map(|container| container.name.as_str()).collect();
        initialized["message"] = format!("containers with incomplete status: [{}]", names.join(" ")).into();
    }
    status["conditions"] = json!([
        condition("PodReadyToStartContainers", state.has_address() && !finished, Hole::Started),
        initialized,
        ready_condition("Ready"),
        ready_condition("ContainersReady"),
        condition("PodScheduled", true, Hole::Created),
    ]);
    if state == State::Evicted {
        return status;
    }
    if !workload.init.is_empty() {
        status["initContainerStatuses"] = workload
            .init
            .iter()
            .enumerate()
            .map(|(at, container)| init_status(workload, state, at, container))
            .collect();
    }
    status["containerStatuses"] = workload
        .containers
        .iter()
        .enumerate()
        .map(|(at, container)| container_status(workload, state, at, container))
        .collect();
    status
}

fn terminated(code: i64, reason: &str, started: Hole, finished: Hole, container: Hole) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": finished,
        "containerID": format!("containerd://{container}") } })
}

fn waiting(reason: &str, message: &str) -> Value {
    if message.is_empty() {
        return json!({ "waiting": { "reason": reason } });
    }
    json!({ "waiting": { "reason": reason, "message": message } })
}

fn back_off(workload: &Workload, container: &Container) -> Value {
    let message = format!(
        "back-off 5m0s restarting failed container={} pod={}_{}({})",
        container.name,
        Hole::Name,
        workload.namespace,
        Hole::Uid
    );
    waiting("CrashLoopBackOff", &message)
}

/// What every container's status has.
fn base_status(container: &Container, id: Hole) -> Value {
    let mut status = json!({
        "name": container.name, "image": container.image, "imageID": container.image_id(),
        "containerID": format!("containerd://{id}"), "ready": true, "started": true, "restartCount": 0,
        "state": { "running": { "startedAt": Hole::Started } }, "lastState": {},
    });
    if let Some(resources) = container.resources() {
        status["allocatedResources"] = resources["requests"].clone();
        status["resources"] = resources;
    }
    let mut mounts: Vec<_> = container.mounts.iter().map(|(volume, path)| mount_status(volume, path, false)).collect();
    let access = format!("kube-api-access-{}", Hole::Suffix);
    mounts.push(mount_status(&access, "/var/run/secrets/kubernetes.io/serviceaccount", true));
    status["volumeMounts"] = mounts.into();
    status["user"] = json!({ "linux": { "uid": 1000, "gid": 1000, "supplementalGroups": [1000] } });
    status
}

fn mount_status(volume: &str, path: &str, read_only: bool) -> Value {
    let mut mount = json!({ "name": volume, "mountPath": path });
    if read_only {
        mount["readOnly"] = true.into();
        mount["recursiveReadOnly"] = "Disabled".into();
    }
    mount
}

/// Sets what a container that never ran does not have.
fn never_ran(status: &mut Value, state: Value) {
    status["state"] = state;
    status["ready"] = false.into();
    status["started"] = false.into();
    status["imageID"] = "".into();
    status["containerID"] = "".into();
    if let Some(status) = status.as_object_mut() {
        for field in ["allocatedResources", "resources", "user"] {
            status.remove(field);
        }
    }
}

fn init_status(workload: &Workload, state: State, at: usize, container: &Container) -> Value {
    // Init containers have ids of their own, apart from those of the main ones.
    let id = Hole::Container(u8::try_from(at + 8).unwrap_or(u8::MAX));
    let mut status = base_status(container, id);
    let first = at == 0;
    match state {
        State::Creating => never_ran(&mut status, waiting("PodInitializing", "")),
        State::Initializing | State::InitCrash if !first => never_ran(&mut status, waiting("PodInitializing", "")),
        State::Initializing => status["ready"] = false.into(),
        State::InitCrash => {
            status["ready"] = false.into();
            status["started"] = false.into();
            status["restartCount"] = Hole::Restarts.into();
            status["state"] = back_off(workload, container);
            status["lastState"] = terminated(1, "Error", Hole::LastStarted, Hole::Changed, id);
        }
        _ if container.sidecar => {}
        _ => {
            status["started"] = false.into();
            status["state"] = terminated(0, "Completed", Hole::Created, Hole::Started, id);
        }
    }
    status
}

fn container_status(workload: &Workload, state: State, at: usize, container: &Container) -> Value {
    let place = u8::try_from(at).unwrap_or(u8::MAX);
    let id = Hole::Container(place);
    let mut status = base_status(container, id);
    let main = at == 0;
    let waits = |status: &mut Value, reason: &str, message: &str| never_ran(status, waiting(reason, message));
    match state {
        State::Running | State::Terminating => {}
        State::NodeLost => status["ready"] = false.into(),
        State::Creating => waits(&mut status, "ContainerCreating", ""),
        State::Initializing | State::InitCrash => waits(&mut status, "PodInitializing", ""),
        State::Succeeded | State::Failed => {
            let (code, reason) = if state == State::Succeeded || !main { (0, "Completed") } else { (1, "Error") };
            status["ready"] = false.into();
            status["started"] = false.into();
            status["state"] = terminated(code, reason, Hole::Started, Hole::Changed, id);
        }
        _ if !main => {}
        State::NotReady => {
            status["ready"] = false.into();
            status["restartCount"] = Hole::Restarts.into();
        }
        State::ImagePull => {
            let message = format!("Back-off pulling image \"{0}\": ErrImagePull: {0}: not found", container.image);
            waits(&mut status, "ImagePullBackOff", &message);
        }
        State::ConfigError => {
            waits(
                &mut status,
                "CreateContainerConfigError",
                &format!("secret \"{}-database\" not found", workload.name),
            );
        }
        State::Restarted | State::OomRestarted | State::CrashLoop | State::OomLoop => {
            let killed = matches!(state, State::OomRestarted | State::OomLoop);
            let (code, reason) = if killed { (137, "OOMKilled") } else { (1, "Error") };
            let last = Hole::LastContainer(place);
            status["restartCount"] = Hole::Restarts.into();
            if state.is_ready() {
                status["state"] = json!({ "running": { "startedAt": Hole::TryStarted } });
                status["lastState"] = terminated(code, reason, Hole::LastStarted, Hole::TryFinished, last);
            } else {
                status["ready"] = false.into();
                status["started"] = false.into();
                status["state"] = back_off(workload, container);
                status["lastState"] = terminated(code, reason, Hole::LastStarted, Hole::Changed, id);
            }
        }
        State::Pending | State::Gated | State::Evicted => {}
    }
    status
}
