package main

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nowhere as a node's name leaves the pod without a node.
const nowhere = "-"

// amounts reads "cpu=250m memory=120Mi".
func amounts(text string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for field := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(field, "=")
		list[corev1.ResourceName(name)] = resource.MustParse(value)
	}
	return list
}

// The states of a container: name is filled in by whoever uses one.
type state func(at time.Time) corev1.ContainerStatus

var yes, no = true, false

func runs(at time.Time) corev1.ContainerStatus {
	return corev1.ContainerStatus{Ready: true, Started: &yes, State: corev1.ContainerState{
		Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at.Add(-10 * time.Minute))},
	}}
}

func unready(at time.Time) corev1.ContainerStatus {
	s := runs(at)
	s.Ready = false
	return s
}

// starting is running, but its startup probe has not succeeded.
func starting(at time.Time) corev1.ContainerStatus {
	s := unready(at)
	s.Started = &no
	return s
}

func waits(reason string) state {
	return func(time.Time) corev1.ContainerStatus {
		return corev1.ContainerStatus{Started: &no, State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "why it waits: " + reason},
		}}
	}
}

func ended(code, signal int32, reason string) state {
	return func(at time.Time) corev1.ContainerStatus {
		return corev1.ContainerStatus{Started: &no, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{
				ExitCode: code, Signal: signal, Reason: reason, ContainerID: "containerd://0f",
				StartedAt: metav1.NewTime(at.Add(-20 * time.Minute)), FinishedAt: metav1.NewTime(at.Add(-15 * time.Minute)),
			},
		}}
	}
}

// again is a state after n restarts, the last of them so long ago.
func again(now state, n int32, ago time.Duration, code int32, reason string) state {
	return func(at time.Time) corev1.ContainerStatus {
		s := now(at)
		s.RestartCount = n
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, ContainerID: "containerd://0e",
			StartedAt: metav1.NewTime(at.Add(-ago - time.Minute)), FinishedAt: metav1.NewTime(at.Add(-ago)),
		}
		return s
	}
}

// done is an init container that has done its work.
func done(at time.Time) corev1.ContainerStatus {
	s := ended(0, 0, "Completed")(at)
	s.Ready = true
	return s
}

type builder struct {
	at   time.Time
	pods []oddPod
}

// add makes a pod with one container for each state; more is set on what it returns.
func (b *builder) add(name string, phase corev1.PodPhase, states ...state) *oddPod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name[:min(len(name), 63)]}},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: new(int64)},
		Status:     corev1.PodStatus{Phase: phase},
	}
	*pod.Spec.TerminationGracePeriodSeconds = 30
	ready := phase == corev1.PodRunning
	for i, s := range states {
		c := corev1.Container{Name: fmt.Sprint("c", i), Image: "registry.example/odd:1"}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
		status := s(b.at)
		status.Name, status.Image = c.Name, c.Image
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, status)
		ready = ready && status.Ready
	}
	if phase != "" {
		started := metav1.NewTime(b.at.Add(-30 * time.Minute))
		pod.Status.StartTime = &started
		pod.Status.HostIP, pod.Status.HostIPs = loopback, []corev1.HostIP{{IP: loopback}}
		if phase == corev1.PodRunning {
			pod.Status.PodIP = fmt.Sprintf("10.200.0.%d", 1+len(b.pods))
			pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
		}
		condition(pod, corev1.PodScheduled, true, "")
		condition(pod, corev1.PodReady, ready, "ContainersNotReady")
		condition(pod, corev1.ContainersReady, ready, "ContainersNotReady")
	}
	b.pods = append(b.pods, oddPod{Pod: pod})
	return &b.pods[len(b.pods)-1]
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType, is bool, reason string) {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !is {
		c.Status, c.Reason = corev1.ConditionFalse, reason
	}
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			pod.Status.Conditions[i] = c
			return
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, c)
}

// inits puts init containers in front; sidecars are those whose place is marked with S.
func (p *oddPod) inits(at time.Time, sidecars string, states ...state) *oddPod {
	always := corev1.ContainerRestartPolicyAlways
	for i, s := range states {
		c := corev1.Container{Name: fmt.Sprint("i", i), Image: "registry.example/init:1"}
		if sidecars[i] == 'S' {
			c.RestartPolicy = &always
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		status := s(at)
		status.Name, status.Image = c.Name, c.Image
		p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, status)
	}
	return p
}

// requests gives containers their resources: "" leaves one without.
func requests(containers []corev1.Container, each ...string) {
	for i, text := range each {
		want, limit, _ := strings.Cut(text, "|")
		if want = strings.TrimSpace(want); want != "" {
			containers[i].Resources.Requests = amounts(want)
		}
		if limit != "" {
			containers[i].Resources.Limits = amounts(limit)
		}
	}
}

func oddPods(at time.Time) []oddPod {
	const (
		pending   = corev1.PodPending
		running   = corev1.PodRunning
		succeeded = corev1.PodSucceeded
		failed    = corev1.PodFailed
	)
	b := &builder{at: at, pods: make([]oddPod, 0, 128)}
	initializing := waits("PodInitializing")

	// Init containers.
	b.add("init-running", pending, initializing).inits(at, "..", starting, initializing)
	b.add("init-second-running", pending, initializing).inits(at, "..", done, starting)
	b.add("init-exit-code", pending, initializing).inits(at, "..", ended(3, 0, ""), initializing)
	b.add("init-error", pending, initializing).inits(at, "..", ended(1, 0, "Error"), initializing)
	b.add("init-signal", pending, initializing).inits(at, ".", ended(137, 9, ""))
	b.add("init-crashloop", pending, initializing).inits(at, ".", again(waits("CrashLoopBackOff"), 6, 2*time.Minute, 1, "Error"))
	b.add("init-image-pull", pending, initializing).inits(at, ".", waits("ImagePullBackOff"))
	b.add("init-waiting", pending, initializing).inits(at, "...", initializing, initializing, initializing)
	b.add("init-done-main-waiting", pending, initializing).inits(at, "..", done, done)
	b.add("init-restarted-then-ran", running, again(runs, 1, 8*time.Minute, 1, "Error")).inits(at, ".", again(done, 4, 12*time.Minute, 1, "Error"))

	// Sidecars: init containers that keep running.
	b.add("sidecar-started", running, runs).inits(at, "S", runs)
	b.add("sidecar-not-started", pending, initializing).inits(at, "S.", starting, initializing)
	b.add("sidecar-then-init", pending, initializing).inits(at, "S.", runs, starting)
	b.add("sidecar-not-ready", running, runs).inits(at, ".S", done, unready)
	b.add("sidecar-restarted", running, again(runs, 1, 3*time.Hour, 1, "Error")).inits(at, "S", again(runs, 9, 4*time.Minute, 2, "Error"))
	b.add("sidecar-crashloop", running, runs).inits(at, "S", again(waits("CrashLoopBackOff"), 5, time.Minute, 1, "Error"))
	b.add("sidecar-main-completed", succeeded, ended(0, 0, "Completed")).inits(at, "S", ended(0, 0, "Completed")).Spec.RestartPolicy = corev1.RestartPolicyNever

	// Waiting.
	for _, reason := range []string{"ContainerCreating", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"} {
		b.add("waiting-"+strings.ToLower(reason), pending, waits(reason))
	}
	b.add("waiting-without-reason", pending, waits(""))
	b.add("crashloop", running, again(waits("CrashLoopBackOff"), 12, 5*time.Minute, 1, "Error"))
	b.add("crashloop-oom", running, again(waits("CrashLoopBackOff"), 3, 90*time.Second, 137, "OOMKilled"))

	// Ended.
	never := func(p *oddPod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }
	never(b.add("completed", succeeded, ended(0, 0, "Completed")))
	never(b.add("ended-without-reason", succeeded, ended(0, 0, "")))
	never(b.add("ended-exit-code", failed, ended(2, 0, "")))
	never(b.add("ended-signal", failed, ended(143, 15, "")))
	never(b.add("error", failed, ended(1, 0, "Error")))
	never(b.add("oom-killed", failed, ended(137, 0, "OOMKilled")))
	never(b.add("status-unknown", failed, ended(137, 0, "ContainerStatusUnknown")))
	b.add("container-status-unknown-running", running, runs, ended(137, 0, "ContainerStatusUnknown"))
	b.add("oom-killed-last", running, again(runs, 1, 6*time.Hour, 137, "OOMKilled"))
	for _, reason := range []string{"Evicted", "NodeAffinity", "OutOfcpu", "UnexpectedAdmissionError", "DeadlineExceeded", "Terminated", "NodeShutdown", "Preempting"} {
		p := b.add("failed-"+strings.ToLower(reason), failed, waits(""))
		p.Status.Reason, p.Status.ContainerStatuses = reason, nil
		p.Status.Message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 87452Ki."
	}

	// On their way out.
	p := b.add("terminating-finalizer", running, runs)
	p.Finalizers, p.deleted = []string{"ekscope-rig/hold"}, true
	b.add("terminating", running, runs, unready).deleted = true
	b.add("terminating-crashloop", running, again(waits("CrashLoopBackOff"), 2, time.Minute, 1, "Error")).deleted = true
	p = b.add("node-lost", running, runs)
	p.Status.Reason, p.deleted = "NodeLost", true
	b.add("unknown-phase", corev1.PodUnknown, runs)

	// Not placed.
	p = b.add("scheduling-gated", pending)
	p.Spec.Containers = []corev1.Container{{Name: "c0", Image: "registry.example/odd:1"}}
	p.Spec.NodeName, p.Spec.SchedulingGates = nowhere, []corev1.PodSchedulingGate{{Name: "example.com/quota"}, {Name: "example.com/topology"}}
	p.Status = corev1.PodStatus{Phase: pending}
	condition(p.Pod, corev1.PodScheduled, false, corev1.PodReasonSchedulingGated)
	p = b.add("unschedulable", pending)
	p.Spec.Containers = []corev1.Container{{Name: "c0", Image: "registry.example/odd:1"}, {Name: "c1", Image: "registry.example/odd:1"}}
	p.Spec.NodeName, p.Spec.SchedulerName = nowhere, "rig-none"
	p.Status = corev1.PodStatus{Phase: pending}
	condition(p.Pod, corev1.PodScheduled, false, corev1.PodReasonUnschedulable)
	p = b.add("nominated", pending)
	p.Spec = *p.Spec.DeepCopy()
	p.Spec.Containers = []corev1.Container{{Name: "c0", Image: "registry.example/odd:1"}}
	p.Spec.NodeName, p.Spec.SchedulerName = nowhere, "rig-none"
	p.Status = corev1.PodStatus{Phase: pending, NominatedNodeName: "ip-10-16-0-4.eu-west-1.compute.internal"}
	condition(p.Pod, corev1.PodScheduled, false, corev1.PodReasonUnschedulable)

	// Several containers.
	b.add("mixed-running-completed", running, runs, ended(0, 0, "Completed"))
	p = b.add("mixed-running-completed-ready", running, runs, ended(0, 0, "Completed"))
	condition(p.Pod, corev1.PodReady, true, "")
	b.add("mixed-running-crashloop", running, runs, again(waits("CrashLoopBackOff"), 8, time.Minute, 1, "Error"))
	b.add("mixed-crashloop-completed", running, again(waits("CrashLoopBackOff"), 8, time.Minute, 1, "Error"), ended(0, 0, "Completed"))
	b.add("mixed-error-imagepull-running", running, ended(1, 0, "Error"), waits("ImagePullBackOff"), runs)
	b.add("ten-containers", running, runs, runs, runs, runs, runs, unready, runs, runs, runs, runs)
	b.add("not-ready", running, unready)
	b.add("startup-probe", running, starting)

	// Restarts.
	b.add("restarts-3", running, again(runs, 3, 5*time.Minute, 1, "Error"))
	b.add("restarts-1234", running, again(runs, 1234, 74*time.Hour, 1, "Error"))
	b.add("restarts-of-two", running, again(runs, 2, 40*time.Minute, 1, "Error"), again(runs, 5, 90*time.Second, 0, "Completed"))
	b.add("restarts-without-time", running, func(at time.Time) corev1.ContainerStatus {
		s := runs(at)
		s.RestartCount = 7
		return s
	})

	// Readiness gates and other conditions.
	p = b.add("readiness-gates", running, runs)
	for i, gate := range []corev1.PodConditionType{"example.com/lb-registered", "example.com/warm", "example.com/never-set"} {
		p.Spec.ReadinessGates = append(p.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
		if i < 2 {
			condition(p.Pod, gate, i == 0, "NotYet")
		}
	}
	condition(p.Pod, corev1.PodReady, false, "ReadinessGatesNotReady")
	p = b.add("disruption-target", running, runs)
	condition(p.Pod, corev1.DisruptionTarget, true, "")
	p.Status.Conditions[len(p.Status.Conditions)-1].Reason = "EvictionByEvictionAPI"

	// Network.
	p = b.add("host-network", running, runs)
	p.Spec.HostNetwork = true
	p.Status.PodIP, p.Status.PodIPs = loopback, []corev1.PodIP{{IP: loopback}, {IP: "fd00::1"}}
	p.Status.HostIPs = []corev1.HostIP{{IP: loopback}, {IP: "fd00::1"}}
	p = b.add("ipv6", running, runs)
	p.Status.PodIP, p.Status.PodIPs = "fd00:10:244::1f", []corev1.PodIP{{IP: "fd00:10:244::1f"}}
	p = b.add("dual-stack", running, runs)
	p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: "fd00:10:244::2a"})

	// Metadata.
	b.add(long, running, runs)
	p = b.add("labels-empty", running, runs)
	p.Labels = map[string]string{"empty": "", "example.com/also-empty": "", strings.Repeat("k", 63): strings.Repeat("v", 63)}
	b.add("labels-none", running, runs).Labels = nil
	p = b.add("annotations-odd", running, runs)
	p.Annotations = map[string]string{
		"example.com/unicode": "Zürich 東京 🚀 e\u0301 \u202eright-to-left\u202c", "example.com/control": "tab\there\nand\x1b[31m red\x1b[0m",
		"example.com/long": strings.Repeat("0123456789", 6000),
	}
	p = b.add("dots.in.name-1.2.3", running, runs)
	p.Spec.Containers[0].Name, p.Status.ContainerStatuses[0].Name = strings.Repeat("c", 63), strings.Repeat("c", 63)

	// Straight into etcd: no status at all, ages.
	b.add("no-status", "", runs).raw = true
	b.pods[len(b.pods)-1].Status = corev1.PodStatus{}
	for _, age := range []struct {
		name string
		ago  time.Duration
	}{
		{"age-45s", 45 * time.Second}, {"age-3m", 3*time.Minute + 7*time.Second}, {"age-7h", 7*time.Hour + 30*time.Minute},
		{"age-5d", 125 * time.Hour}, {"age-400d", 400 * 24 * time.Hour}, {"age-9y", 9 * 366 * 24 * time.Hour}, {"age-future", -2 * time.Hour},
	} {
		p = b.add(age.name, running, runs)
		p.raw, p.CreationTimestamp = true, metav1.NewTime(at.Add(-age.ago))
	}
	b.add("age-none", running, runs).raw = true

	// Resources.
	b.add("res-none", running, runs)
	p = b.add("res-init-max", running, runs, runs).inits(at, "..", done, done)
	requests(p.Spec.Containers, "cpu=100m memory=64Mi", "cpu=200m memory=64Mi")
	requests(p.Spec.InitContainers, "cpu=2 memory=32Mi", "cpu=50m memory=1Gi")
	p = b.add("res-sidecar-first", running, runs).inits(at, "S.", runs, done)
	requests(p.Spec.Containers, "cpu=100m memory=64Mi")
	requests(p.Spec.InitContainers, "cpu=300m memory=100Mi", "cpu=500m memory=10Mi")
	p = b.add("res-sidecar-last", running, runs).inits(at, ".S", done, runs)
	requests(p.Spec.Containers, "cpu=100m memory=64Mi")
	requests(p.Spec.InitContainers, "cpu=500m memory=10Mi", "cpu=300m memory=100Mi")
	p = b.add("res-overhead", running, runs)
	runtimeClass := "rig-overhead"
	p.Spec.RuntimeClassName = &runtimeClass
	requests(p.Spec.Containers, "cpu=100m memory=64Mi|cpu=1 memory=128Mi")
	p = b.add("res-pod-level", running, runs, runs)
	p.Spec.Resources = &corev1.ResourceRequirements{Requests: amounts("cpu=3 memory=3Gi"), Limits: amounts("cpu=4 memory=4Gi")}
	requests(p.Spec.Containers, "cpu=500m memory=256Mi|cpu=1")
	p = b.add("res-odd-units", running, runs, runs, runs, runs)
	requests(p.Spec.Containers, "cpu=0.5 memory=128974848|cpu=1e0 memory=129e6", "cpu=100m memory=1.5Gi", "cpu=1e-1 memory=123Mi", "cpu=1e1 memory=1Ki ephemeral-storage=1E")
	p = b.add("res-tiny-and-huge", running, runs, runs)
	requests(p.Spec.Containers, "cpu=1m memory=1", "cpu=1k memory=5Ti|memory=1Pi")
	p = b.add("res-limits-only", running, runs)
	requests(p.Spec.Containers, "|cpu=2 memory=2Gi")
	p = b.add("res-guaranteed", running, runs)
	requests(p.Spec.Containers, "cpu=1 memory=1Gi|cpu=1 memory=1Gi")
	p = b.add("res-extended", running, runs)
	requests(p.Spec.Containers, "cpu=4 memory=8Gi nvidia.com/gpu=2 ephemeral-storage=20Gi hugepages-2Mi=64Mi|nvidia.com/gpu=2 hugepages-2Mi=64Mi memory=16Gi")
	p = b.add("res-resized", running, runs)
	requests(p.Spec.Containers, "cpu=500m memory=256Mi|memory=512Mi")
	p.Status.ContainerStatuses[0].AllocatedResources = amounts("cpu=250m memory=128Mi")
	p.Status.ContainerStatuses[0].Resources = &corev1.ResourceRequirements{Requests: amounts("cpu=250m memory=128Mi"), Limits: amounts("memory=256Mi")}
	condition(p.Pod, corev1.PodResizePending, true, "")
	p.Status.Conditions[len(p.Status.Conditions)-1].Reason = "Deferred"

	// Debugging and mirrors.
	p = b.add("ephemeral", running, runs)
	p.debug = &corev1.EphemeralContainerCommon{Name: "debugger-x7k2p", Image: "registry.example/debug:1", Stdin: true, TTY: true,
		ImagePullPolicy: corev1.PullIfNotPresent, TerminationMessagePolicy: corev1.TerminationMessageReadFile}
	status := runs(at)
	status.Name, status.Image, status.Started, status.Ready = p.debug.Name, p.debug.Image, nil, false
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{status}
	p = b.add("static-mirror", running, runs)
	p.Annotations = map[string]string{"kubernetes.io/config.mirror": "9d9f6ad8b1", "kubernetes.io/config.source": "file"}
	return b.pods
}
