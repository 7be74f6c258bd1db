//! What a pod row needs of `v1.Pod`, in protobuf and in JSON (`k8s.io/api/core/v1/generated.proto`).

use bytes::Bytes;

use crate::kinds::wire::{Item, ObjectMeta, Resource, Time, wire};

wire! {
    pub struct Pod {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<PodSpec>,
        #[prost(message, tag = "3")] pub status: Option<PodStatus>,
    }

    pub struct PodSpec {
        #[prost(message, repeated, tag = "2")] pub containers: Vec<Container>,
        #[prost(bytes = "bytes", tag = "8")] pub service_account_name: Bytes,
        #[prost(bytes = "bytes", tag = "10")] pub node_name: Bytes,
        #[prost(message, repeated, tag = "20")] pub init_containers: Vec<Container>,
        #[prost(int32, optional, tag = "25")] pub priority: Option<i32>,
        #[prost(message, repeated, tag = "28")] pub readiness_gates: Vec<PodReadinessGate>,
        #[prost(message, repeated, tag = "32")] pub overhead: Vec<Resource>,
        #[prost(message, repeated, tag = "34")] pub ephemeral_containers: Vec<EphemeralContainer>,
        #[prost(message, repeated, tag = "38")] pub scheduling_gates: Vec<PodSchedulingGate>,
        /// Resources of the pod as a whole, in place of the sum of its containers'.
        #[prost(message, tag = "40")] pub resources: Option<ResourceRequirements>,
    }

    pub struct Container {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub image: Bytes,
        #[prost(message, repeated, tag = "6")] pub ports: Vec<ContainerPort>,
        #[prost(message, tag = "8")] pub resources: Option<ResourceRequirements>,
        /// `Always` makes an init container a sidecar.
        #[prost(bytes = "bytes", tag = "24")] pub restart_policy: Bytes,
    }

    pub struct ContainerPort {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
        #[prost(int32, tag = "3")] pub container_port: i32,
        #[prost(bytes = "bytes", tag = "4")] pub protocol: Bytes,
    }

    pub struct ResourceRequirements {
        #[prost(message, repeated, tag = "1")] pub limits: Vec<Resource>,
        #[prost(message, repeated, tag = "2")] pub requests: Vec<Resource>,
    }

    pub struct PodReadinessGate {
        #[prost(bytes = "bytes", tag = "1")] pub condition_type: Bytes,
    }

    pub struct PodSchedulingGate {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
    }

    pub struct PodStatus {
        #[prost(bytes = "bytes", tag = "1")] pub phase: Bytes,
        #[prost(message, repeated, tag = "2")] pub conditions: Vec<PodCondition>,
        #[prost(bytes = "bytes", tag = "3")] pub message: Bytes,
        #[prost(bytes = "bytes", tag = "4")] pub reason: Bytes,
        #[prost(bytes = "bytes", tag = "5")] #[serde(rename = "hostIP")] pub host_ip: Bytes,
        #[prost(bytes = "bytes", tag = "6")] #[serde(rename = "podIP")] pub pod_ip: Bytes,
        #[prost(message, tag = "7")] pub start_time: Option<Time>,
        #[prost(message, repeated, tag = "8")] pub container_statuses: Vec<ContainerStatus>,
        #[prost(bytes = "bytes", tag = "9")] pub qos_class: Bytes,
        #[prost(message, repeated, tag = "10")] pub init_container_statuses: Vec<ContainerStatus>,
        #[prost(bytes = "bytes", tag = "11")] pub nominated_node_name: Bytes,
        #[prost(message, repeated, tag = "12")] #[serde(rename = "podIPs")] pub pod_ips: Vec<PodIp>,
        #[prost(message, repeated, tag = "13")] pub ephemeral_container_statuses: Vec<ContainerStatus>,
    }

    pub struct PodIp {
        #[prost(bytes = "bytes", tag = "1")] pub ip: Bytes,
    }

    pub struct PodCondition {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        /// `True`, `False` or `Unknown`.
        #[prost(bytes = "bytes", tag = "2")] pub status: Bytes,
        #[prost(message, tag = "4")] pub last_transition_time: Option<Time>,
        #[prost(bytes = "bytes", tag = "5")] pub reason: Bytes,
        #[prost(bytes = "bytes", tag = "6")] pub message: Bytes,
    }

    pub struct ContainerStatus {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
        #[prost(message, tag = "2")] pub state: Option<ContainerState>,
        #[prost(message, tag = "3")] pub last_state: Option<ContainerState>,
        #[prost(bool, tag = "4")] pub ready: bool,
        #[prost(int32, tag = "5")] pub restart_count: i32,
        #[prost(bool, optional, tag = "9")] pub started: Option<bool>,
    }

    /// At most one of the three.
    pub struct ContainerState {
        #[prost(message, tag = "1")] pub waiting: Option<ContainerStateWaiting>,
        #[prost(message, tag = "2")] pub running: Option<ContainerStateRunning>,
        #[prost(message, tag = "3")] pub terminated: Option<ContainerStateTerminated>,
    }

    pub struct ContainerStateWaiting {
        #[prost(bytes = "bytes", tag = "1")] pub reason: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub message: Bytes,
    }

    pub struct ContainerStateRunning {
        #[prost(message, tag = "1")] pub started_at: Option<Time>,
    }

    pub struct ContainerStateTerminated {
        #[prost(int32, tag = "1")] pub exit_code: i32,
        #[prost(int32, tag = "2")] pub signal: i32,
        #[prost(bytes = "bytes", tag = "3")] pub reason: Bytes,
        #[prost(message, tag = "5")] pub started_at: Option<Time>,
        #[prost(message, tag = "6")] pub finished_at: Option<Time>,
    }
}

/// A container that somebody put into a running pod, to debug it. JSON has its fields inline, protobuf in a message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EphemeralContainer {
    #[prost(message, tag = "1")]
    pub container: Option<Container>,
}

impl<'de> serde::Deserialize<'de> for EphemeralContainer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { container: Some(Container::deserialize(deserializer)?) })
    }
}

impl Item for EphemeralContainer {
    fn read_all<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Self>, D::Error> {
        Ok(<Option<_> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
    }
}

impl Pod {
    pub fn containers(&self) -> &[Container] {
        self.spec.as_ref().map_or(&[], |spec| &spec.containers)
    }

    pub fn init_containers(&self) -> &[Container] {
        self.spec.as_ref().map_or(&[], |spec| &spec.init_containers)
    }

    /// The condition of this type.
    pub fn condition(&self, r#type: &str) -> Option<&PodCondition> {
        self.status.as_ref()?.conditions.iter().find(|condition| condition.r#type == r#type)
    }

    pub fn phase(&self) -> &[u8] {
        self.status.as_ref().map_or(&[], |status| &status.phase)
    }

    /// Whether every container has ended for good, so that the pod takes nothing of its node any more.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase(), b"Succeeded" | b"Failed")
    }
}

impl Container {
    /// Whether this init container keeps running beside the containers.
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}

impl PodCondition {
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }
}

impl ContainerStatus {
    pub fn waiting(&self) -> Option<&ContainerStateWaiting> {
        self.state.as_ref()?.waiting.as_ref()
    }

    pub fn running(&self) -> Option<&ContainerStateRunning> {
        self.state.as_ref()?.running.as_ref()
    }

    pub fn terminated(&self) -> Option<&ContainerStateTerminated> {
        self.state.as_ref()?.terminated.as_ref()
    }

    /// When the run before this one ended, Unix seconds.
    pub fn last_finished(&self) -> Option<i64> {
        self.last_state.as_ref()?.terminated.as_ref()?.finished_at?.unix()
    }
}
