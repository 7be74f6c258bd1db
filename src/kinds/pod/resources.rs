//! What a pod asks of its node, and what it may take: as `kubectl describe node` and the scheduler count it.
//!
//! `PodRequests` and `PodLimits` of `k8s.io/component-helpers/resource` v0.36.3 with the options of
//! `getPodsTotalRequestsAndLimits` in `k8s.io/kubectl/pkg/describe`: pod-level resources count, those in the status do
//! not. CPU and memory are rounded up for each pod; the server stores whole thousandths of a CPU, and who asks for
//! fractions of a byte gets a byte.

use std::ops::AddAssign;

use super::wire::{Container, Pod, ResourceRequirements};
use crate::{kinds::wire::Resource, util::quantity};

/// What does not stand here was not asked for: 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    pub cpu_milli: u64,
    pub memory_bytes: u64,
    /// `ephemeral-storage`.
    pub storage_bytes: u64,
    /// Devices of `nvidia.com/gpu`, `amd.com/gpu` and `aws.amazon.com/neuron`.
    pub gpu: u64,
}

/// What the pod takes of its node's allocatable; nothing once it has finished.
pub fn requests(pod: &Pod) -> Resources {
    if pod.is_finished() {
        return Resources::default();
    }
    let mut sum = aggregate(pod, |resources| &resources.requests);
    if let Some(spec) = &pod.spec {
        let of_pod = spec.resources.as_ref().map_or(&[][..], |resources| &resources.requests);
        replace(&mut sum, of_pod);
        sum += read(&spec.overhead);
    }
    sum
}

/// What the pod may use at most, 0 where there is no limit; nothing once it has finished.
pub fn limits(pod: &Pod) -> Resources {
    if pod.is_finished() {
        return Resources::default();
    }
    let mut sum = aggregate(pod, |resources| &resources.limits);
    if let Some(spec) = &pod.spec {
        let of_pod = spec.resources.as_ref().map_or(&[][..], |resources| &resources.limits);
        replace(&mut sum, of_pod);
        let overhead = read(&spec.overhead);
        sum.each(overhead, |limit, extra| {
            if *limit > 0 {
                *limit += extra;
            }
        });
    }
    sum
}

/// Containers and sidecars together, or the most that any init container needs with the sidecars started before it.
fn aggregate(pod: &Pod, list: fn(&ResourceRequirements) -> &Vec<Resource>) -> Resources {
    let of = |container: &Container| container.resources.as_ref().map_or_else(Resources::default, |it| read(list(it)));
    let mut sum = Resources::default();
    for container in pod.containers() {
        sum += of(container);
    }
    let mut sidecars = Resources::default();
    let mut init = Resources::default();
    for container in pod.init_containers() {
        let mut needed = of(container);
        if container.is_sidecar() {
            sum += needed;
            sidecars += needed;
            needed = sidecars;
        } else {
            needed += sidecars;
        }
        init.raise(needed);
    }
    sum.raise(init);
    sum
}

/// Resources of the pod as a whole stand in place of its containers', even where they are 0. Only CPU, memory and huge
/// pages can be given so.
fn replace(sum: &mut Resources, of_pod: &[Resource]) {
    let whole = read(of_pod);
    for resource in of_pod {
        match resource.name.as_ref() {
            b"cpu" => sum.cpu_milli = whole.cpu_milli,
            b"memory" => sum.memory_bytes = whole.memory_bytes,
            _ => {}
        }
    }
}

/// The amounts of one list.
pub fn read(list: &[Resource]) -> Resources {
    let mut resources = Resources::default();
    for Resource { name, quantity } in list {
        let Some(quantity) = quantity else { continue };
        let text = quantity.as_str();
        match name.as_ref() {
            b"cpu" => resources.cpu_milli = quantity::milli(&text),
            b"memory" => resources.memory_bytes = quantity::units(&text),
            b"ephemeral-storage" => resources.storage_bytes = quantity::units(&text),
            // Whole devices only: counting their parts as well (`neuroncore`, MIG slices) would count them twice.
            b"nvidia.com/gpu" | b"amd.com/gpu" | b"aws.amazon.com/neuron" => resources.gpu += quantity::units(&text),
            _ => {}
        }
    }
    resources
}

impl Resources {
    fn each(&mut self, other: Resources, change: fn(&mut u64, u64)) {
        change(&mut self.cpu_milli, other.cpu_milli);
        change(&mut self.memory_bytes, other.memory_bytes);
        change(&mut self.storage_bytes, other.storage_bytes);
        change(&mut self.gpu, other.gpu);
    }

    fn raise(&mut self, other: Resources) {
        self.each(other, |mine, other| *mine = (*mine).max(other));
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        self.each(other, |mine, other| *mine = mine.saturating_add(other));
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use prost::Message;

    use super::*;

    /// Every pod of `component-helpers`' `helpers_test.go`, with what `PodRequests` and `PodLimits` say of it under
    /// kubectl's options. `protobuf` is what Go writes for the same pod.
    const CASES: &str = include_str!("fixtures/resources.jsonl");

    #[derive(serde::Deserialize)]
    struct Case {
        requests: ResourceList,
        limits: ResourceList,
        pod: Pod,
        protobuf: String,
    }

    #[derive(serde::Deserialize)]
    struct ResourceList(#[serde(deserialize_with = "crate::kinds::wire::Field::read")] Vec<Resource>);

    fn cases() -> impl Iterator<Item = Case> {
        CASES.lines().map(|line| serde_json::from_str(line).unwrap())
    }

    #[test]
    fn sums_are_those_of_describe_node_in_both_formats() {
        assert_eq!(cases().count(), 72);
        for (number, Case { requests: ResourceList(asked), limits: ResourceList(allowed), pod, protobuf }) in
            cases().enumerate()
        {
            let bytes = base64::prelude::BASE64_STANDARD.decode(protobuf).unwrap();
            for pod in [&pod, &Pod::decode(bytes.as_slice()).unwrap()] {
                assert_eq!(requests(pod), read(&asked), "requests, line {}", number + 1);
                assert_eq!(limits(pod), read(&allowed), "limits, line {}", number + 1);
            }
        }
    }

    #[test]
    fn a_finished_pod_takes_nothing() {
        let mut pod = cases().map(|case| case.pod).find(|pod| requests(pod).cpu_milli > 0).unwrap();
        pod.status.get_or_insert_default().phase = "Failed".into();
        assert_eq!((requests(&pod), limits(&pod)), (Resources::default(), Resources::default()));
    }

    #[test]
    fn devices_are_counted_whole() {
        let json = r#"{"spec":{"containers":[{"resources":{"requests":
            {"nvidia.com/gpu":"2","aws.amazon.com/neuroncore":"8","ephemeral-storage":"1Gi","cpu":1.5}}}]}}"#;
        let pod: Pod = serde_json::from_str(json).unwrap();
        let expected = Resources { cpu_milli: 1500, memory_bytes: 0, storage_bytes: 1 << 30, gpu: 2 };
        assert_eq!(requests(&pod), expected);
    }
}
