package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type instanceType struct {
	name, arch string
	cpu        int64
	memoryGiB  int64
	pods       int64
}

var instanceTypes = []instanceType{
	{"m5.xlarge", "amd64", 4, 16, 58}, {"m6i.2xlarge", "amd64", 8, 32, 58}, {"m7g.4xlarge", "arm64", 16, 64, 234},
	{"r6i.2xlarge", "amd64", 8, 64, 58}, {"c6g.4xlarge", "arm64", 16, 32, 234}, {"t3.xlarge", "amd64", 4, 16, 58},
	{"m6i.8xlarge", "amd64", 32, 128, 234}, {"g5.2xlarge", "amd64", 8, 32, 58},
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// node makes the i-th node: it looks like one of EKS, of a managed group or of Karpenter, and answers on loopback.
func (m *maker) node(i int, kubeletPort int32) *corev1.Node {
	r := m.random(fmt.Sprint("node/", i))
	kind := pick(r, instanceTypes)
	zone := []string{"a", "b", "c"}[i%3]
	created := metav1.NewTime(m.now.Add(-time.Duration(600+r.IntN(40*24*3600)) * time.Second))
	beat := metav1.NewTime(m.now)
	name := fmt.Sprintf("ip-10-%d-%d-%d.eu-west-1.compute.internal", 16+i/60000, i/250%240, 4+i%250)
	labels := map[string]string{
		corev1.LabelHostname:                name,
		corev1.LabelInstanceTypeStable:      kind.name,
		corev1.LabelInstanceType:            kind.name,
		corev1.LabelArchStable:              kind.arch,
		"beta.kubernetes.io/arch":           kind.arch,
		corev1.LabelOSStable:                "linux",
		"beta.kubernetes.io/os":             "linux",
		corev1.LabelTopologyRegion:          "eu-west-1",
		corev1.LabelFailureDomainBetaRegion: "eu-west-1",
		corev1.LabelTopologyZone:            "eu-west-1" + zone,
		corev1.LabelFailureDomainBetaZone:   "eu-west-1" + zone,
		"topology.k8s.aws/zone-id":          fmt.Sprint("euw1-az", i%3+1),
		"topology.ebs.csi.aws.com/zone":     "eu-west-1" + zone,
		"k8s.io/cloud-provider-aws":         "2f2a1d8c4f0b8a1f7d1f6c9b7c4f2a10",
	}
	spot := r.IntN(3) == 0
	if r.IntN(4) > 0 {
		group := pick(r, []string{"general-2026", "memory", "ingress", "batch-spot"})
		labels["eks.amazonaws.com/nodegroup"] = group
		labels["eks.amazonaws.com/nodegroup-image"] = "ami-0" + hex(m.random(group), 16)
		labels["eks.amazonaws.com/sourceLaunchTemplateVersion"] = "3"
		labels["eks.amazonaws.com/sourceLaunchTemplateId"] = "lt-0" + hex(m.random("lt"+group), 16)
		labels["eks.amazonaws.com/capacityType"] = map[bool]string{true: "SPOT", false: "ON_DEMAND"}[spot]
	} else {
		family, size, _ := strings.Cut(kind.name, ".")
		labels["karpenter.sh/nodepool"] = pick(r, []string{"default", "gpu"})
		labels["karpenter.sh/capacity-type"] = map[bool]string{true: "spot", false: "on-demand"}[spot]
		labels["karpenter.sh/registered"] = "true"
		labels["karpenter.sh/initialized"] = "true"
		labels["karpenter.k8s.aws/ec2nodeclass"] = "default"
		labels["karpenter.k8s.aws/instance-family"] = family
		labels["karpenter.k8s.aws/instance-size"] = size
		labels["karpenter.k8s.aws/instance-cpu"] = fmt.Sprint(kind.cpu)
		labels["karpenter.k8s.aws/instance-memory"] = fmt.Sprint(kind.memoryGiB << 10)
	}
	amounts := func(cpuReserve, memoryReserveMi int64) corev1.ResourceList {
		list := corev1.ResourceList{
			corev1.ResourceCPU:              *resource.NewMilliQuantity(kind.cpu*1000-cpuReserve, resource.DecimalSI),
			corev1.ResourceMemory:           *resource.NewQuantity((kind.memoryGiB<<20-memoryReserveMi<<10)<<10-123<<10, resource.BinarySI),
			corev1.ResourcePods:             *resource.NewQuantity(kind.pods, resource.DecimalSI),
			corev1.ResourceEphemeralStorage: *resource.NewQuantity(83873772<<10, resource.BinarySI),
			"hugepages-2Mi":                 *resource.NewQuantity(0, resource.DecimalSI),
		}
		if strings.HasPrefix(kind.name, "g5") {
			list["nvidia.com/gpu"] = *resource.NewQuantity(1, resource.DecimalSI)
		}
		return list
	}
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: beat, LastTransitionTime: created}
	}
	image, kernel := "Amazon Linux 2023.9.20260105", "6.12.58-82.121.amzn2023."
	if r.IntN(5) == 0 {
		image, kernel = "Bottlerocket OS 1.52.0 (aws-k8s-1.36)", "6.12.55-bottlerocket."
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: uid(r), CreationTimestamp: created, Labels: labels,
			Annotations: map[string]string{
				"alpha.kubernetes.io/provided-node-ip":                   loopback,
				"node.alpha.kubernetes.io/ttl":                           "15",
				"volumes.kubernetes.io/controller-managed-attach-detach": "true",
				"csi.volume.kubernetes.io/nodeid":                        fmt.Sprintf(`{"ebs.csi.aws.com":"i-0%s"}`, hex(r, 16)),
			},
		},
		Spec: corev1.NodeSpec{ProviderID: fmt.Sprintf("aws:///eu-west-1%s/i-0%s", zone, hex(r, 16))},
		Status: corev1.NodeStatus{
			Capacity:    amounts(0, 0),
			Allocatable: amounts(80, 1024),
			Conditions: []corev1.NodeCondition{
				condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
				condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
				condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
				condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"),
			},
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: loopback},
				{Type: corev1.NodeHostName, Address: name},
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: kubeletPort}},
			NodeInfo: corev1.NodeSystemInfo{
				MachineID: "ec2" + hex(r, 29), SystemUUID: "ec2" + hex(r, 5) + "-" + hex(r, 4) + "-" + hex(r, 4) + "-" + hex(r, 4) + "-" + hex(r, 12),
				BootID: string(uid(r)), KernelVersion: kernel + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[kind.arch],
				OSImage: image, ContainerRuntimeVersion: "containerd://2.1.5", KubeletVersion: pick(r, []string{"v1.36.3-eks-7f9c2b1", "v1.36.3-eks-7f9c2b1", "v1.35.4-eks-113cf36"}),
				OperatingSystem: "linux", Architecture: kind.arch,
			},
		},
	}
	for range 10 {
		word := pick(r, serviceWords)
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
			Names:     []string{"registry.example/platform/" + word + "@sha256:" + hex(m.random(word), 64), "registry.example/platform/" + word + ":1.4.2"},
			SizeBytes: 20<<20 + int64(r.IntN(400<<20)),
		})
	}
	if i%50 == 49 {
		node.Spec.Unschedulable = true
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule, TimeAdded: &beat})
	}
	if strings.HasPrefix(kind.name, "g5") {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "nvidia.com/gpu", Value: "true", Effect: corev1.TaintEffectNoSchedule})
	}
	return node
}
