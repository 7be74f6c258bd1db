//! A pod's status in each state, as the kubelet reports it.

use serde_json::{Value, json};

use super::pod::State;
use super::workload::{Container, Workload};
use crate::encoding::template::Hole;

fn condition(kind: &str, holds: bool, since: Hole) -> Value {
    json!({ "type": kind, "status": if holds { "True" } else { "False" }, "lastProbeTime": null,
        "lastTransitionTime": since })
}

/// The status of the workload's pods in `state`, with holes.
pub fn status(workload: &Workload, state: State) -> Value {
    let mut status = json!({ "phase": state.phase(), "qosClass": workload.qos_class() });
    if state == State::New {
        return status;
    }
    if !state.has_node() {
        let mut scheduled = condition("PodScheduled", false, Hole::Changed);
        let (reason, message) = match state {
            State::Gated => ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates".to_owned()),
            _ => ("Unschedulable", Hole::Message.to_string()),
        };
        scheduled["reason"] = reason.into();
        scheduled["observedGeneration"] = 1.into();
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
        "back-off {} restarting failed container={} pod={}_{}({})",
        Hole::BackOff,
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
        State::Restarted
        | State::OomRestarted
        | State::Starting
        | State::OomStarting
        | State::CrashLoop
        | State::OomLoop => {
            let killed = matches!(state, State::OomRestarted | State::OomStarting | State::OomLoop);
            let (code, reason) = if killed { (137, "OOMKilled") } else { (1, "Error") };
            let last = Hole::LastContainer(place);
            status["restartCount"] = Hole::Restarts.into();
            status["ready"] = state.is_ready().into();
            if matches!(state, State::CrashLoop | State::OomLoop) {
                status["started"] = false.into();
                status["state"] = back_off(workload, container);
                status["lastState"] = terminated(code, reason, Hole::LastStarted, Hole::Changed, id);
            } else {
                status["state"] = json!({ "running": { "startedAt": Hole::TryStarted } });
                status["lastState"] = terminated(code, reason, Hole::LastStarted, Hole::TryFinished, last);
            }
        }
        State::Silent | State::New | State::Pending | State::Gated | State::Evicted => {}
    }
    status
}
