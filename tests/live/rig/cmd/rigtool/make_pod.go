package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fate draws what became of a pod.
func (m *maker) fate(w *workload, i int) fate {
	n := m.random(fmt.Sprint("fate/", w.number, "/", i)).IntN(1000)
	for _, f := range fateShare {
		if n < f.share {
			return f.fate
		}
		n -= f.share
	}
	return fateRunning
}

// pod makes the i-th pod of a workload. It has no owner: the garbage collector would look for it in vain.
func (m *maker) pod(w *workload, i int, node string, f fate) *corev1.Pod {
	r := m.random(fmt.Sprint("pod/", w.number, "/", i))
	created := w.created.Add(time.Duration(r.IntN(600)) * time.Second)
	if created.After(m.now) {
		created = m.now.Add(-time.Duration(1+r.IntN(30)) * time.Second)
	}
	grace, no := int64(30), false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         w.namespace,
			Name:              w.name + "-" + w.hash + "-" + suffix(r, 5),
			GenerateName:      w.name + "-" + w.hash + "-",
			UID:               uid(r),
			Generation:        1,
			CreationTimestamp: metav1.NewTime(created),
			Labels:            w.labels,
			Annotations:       w.annotations,
		},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			Containers:                    w.containers,
			RestartPolicy:                 corev1.RestartPolicyAlways,
			TerminationGracePeriodSeconds: &grace,
			DNSPolicy:                     corev1.DNSClusterFirst,
			ServiceAccountName:            w.name,
			DeprecatedServiceAccount:      w.name,
			AutomountServiceAccountToken:  &no,
			SecurityContext:               &corev1.PodSecurityContext{},
			SchedulerName:                 corev1.DefaultSchedulerName,
			EnableServiceLinks:            &no,
			Tolerations: []corev1.Toleration{
				{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
				{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
			},
			Volumes: []corev1.Volume{{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	if m.realistic {
		m.individual(r, pod)
	}
	m.podStatus(r, w, pod, f)
	if f != fateRunning && f != fateRestarted {
		annotations := map[string]string{holdKey: "true"}
		if f == fateTerminating {
			annotations[holdKey] = "always"
		}
		for k, v := range pod.Annotations {
			annotations[k] = v
		}
		pod.Annotations = annotations
	}
	statusTime := metav1.NewTime(created.Add(40 * time.Second))
	pod.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1",
			Time: &pod.CreationTimestamp, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: w.specFields}},
		{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Subresource: "status",
			Time: &statusTime, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(statusFields)}},
	}
	return pod
}

// individual gives a pod values of its own, as injectors and operators do.
func (m *maker) individual(r *rand.Rand, pod *corev1.Pod) {
	containers := make([]corev1.Container, len(pod.Spec.Containers))
	for i, c := range pod.Spec.Containers {
		c.Env = append([]corev1.EnvVar(nil), c.Env...)
		for e := range c.Env {
			if r.IntN(4) == 0 {
				c.Env[e].Value = letters(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 12+r.IntN(40))
			}
		}
		containers[i] = c
	}
	pod.Spec.Containers = containers
}

func (m *maker) podStatus(r *rand.Rand, w *workload, pod *corev1.Pod, f fate) {
	created := pod.CreationTimestamp
	started := metav1.NewTime(created.Add(2 * time.Second))
	running := metav1.NewTime(created.Add(time.Duration(5+r.IntN(20)) * time.Second))
	recently := metav1.NewTime(m.now.Add(-time.Duration(10+r.IntN(7200)) * time.Second))
	if recently.Before(&running) {
		recently = running
	}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: created, ObservedGeneration: 1}
	status := &pod.Status
	status.ObservedGeneration = 1
	status.Phase = corev1.PodRunning
	status.QOSClass = corev1.PodQOSBurstable

	switch f {
	case fatePending:
		pod.Spec.NodeName = ""
		// Nobody's scheduler: the rig's own would try for ever, or find a place.
		pod.Spec.SchedulerName = "rig-none"
		status.Phase = corev1.PodPending
		scheduled.Status, scheduled.Reason = corev1.ConditionFalse, corev1.PodReasonUnschedulable
		scheduled.Message = "0/500 nodes are available: 12 node(s) were unschedulable, 488 Insufficient cpu. preemption: 0/500 nodes are available."
		status.Conditions = []corev1.PodCondition{scheduled}
		return
	case fateEvicted:
		status.Phase, status.Reason, status.StartTime = corev1.PodFailed, "Evicted", &started
		status.Message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 87452Ki."
		return
	}

	status.StartTime = &started
	status.HostIP, status.HostIPs = loopback, []corev1.HostIP{{IP: loopback}}
	if f != fateCreating {
		status.PodIP = fmt.Sprintf("10.%d.%d.%d", 16+r.IntN(48), r.IntN(256), 1+r.IntN(254))
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}
	yes, no := true, false
	for i, c := range pod.Spec.Containers {
		state := corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: strings.SplitN(c.Image, ":", 2)[0] + "@sha256:" + w.digests[i],
			ContainerID: "containerd://" + hex(r, 64), Ready: true, Started: &yes,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: running}},
		}
		waiting := func(reason, message string) {
			state.Ready, state.Started, state.ContainerID = false, &no, ""
			state.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
		}
		terminated := func(code int32, reason string) corev1.ContainerState {
			return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: code, Reason: reason, StartedAt: running, FinishedAt: recently, ContainerID: "containerd://" + hex(r, 64),
			}}
		}
		first := i == 0
		switch {
		case f == fateRestarted && first:
			state.RestartCount = int32(1 + r.IntN(40))
			state.LastTerminationState = terminated(pick(r, []int32{1, 2, 137, 143}), "Error")
			state.State.Running.StartedAt = recently
		case f == fateCrashLoop && first:
			waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container="+c.Name+" pod="+pod.Name+"_"+pod.Namespace+"("+string(pod.UID)+")")
			state.RestartCount = int32(3 + r.IntN(3000))
			state.LastTerminationState = terminated(1, "Error")
		case f == fateImagePull && first:
			waiting(pick(r, []string{"ImagePullBackOff", "ErrImagePull"}), "Back-off pulling image \""+c.Image+"\"")
			state.ImageID = ""
		case f == fateCreating:
			waiting("ContainerCreating", "")
			state.ImageID = ""
		case f == fateUnready && first:
			state.Ready = false
		case f == fateCompleted:
			state.Ready, state.Started, state.State = false, &no, terminated(0, "Completed")
		case f == fateError:
			state.Ready, state.Started, state.State = false, &no, terminated(pick(r, []int32{1, 2, 127, 255}), "Error")
		case f == fateOOMKilled && first:
			state.Ready, state.Started, state.State = false, &no, terminated(137, "OOMKilled")
			state.RestartCount = 2
		}
		status.ContainerStatuses = append(status.ContainerStatuses, state)
	}

	switch f {
	case fateCreating, fateImagePull:
		status.Phase = corev1.PodPending
	case fateCompleted:
		status.Phase, pod.Spec.RestartPolicy = corev1.PodSucceeded, corev1.RestartPolicyNever
	case fateError:
		status.Phase, pod.Spec.RestartPolicy = corev1.PodFailed, corev1.RestartPolicyNever
	case fateTerminating:
		deleted := metav1.NewTime(recently.Add(30 * time.Second))
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &deleted, pod.Spec.TerminationGracePeriodSeconds
		pod.Finalizers = []string{"ekscope-rig/hold"}
	}
	ready := corev1.PodCondition{Status: corev1.ConditionTrue, LastTransitionTime: running, ObservedGeneration: 1}
	var unready []string
	for _, c := range status.ContainerStatuses {
		if !c.Ready {
			unready = append(unready, c.Name)
		}
	}
	if len(unready) > 0 {
		ready.Status, ready.Reason, ready.LastTransitionTime = corev1.ConditionFalse, "ContainersNotReady", recently
		ready.Message = "containers with unready status: [" + strings.Join(unready, " ") + "]"
		if f == fateCompleted {
			ready.Reason, ready.Message = "PodCompleted", ""
		}
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: running, ObservedGeneration: 1})
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		ready.Type = kind
		status.Conditions = append(status.Conditions, ready)
	}
	status.Conditions = append(status.Conditions, scheduled)
}

// specFields is what the API server notes about a pod that a controller created: every field, by name.
func specFields(w *workload) []byte {
	var b strings.Builder
	b.WriteString(`{"f:metadata":{"f:annotations":{".":{}`)
	for _, k := range sortedKeys(w.annotations) {
		fmt.Fprintf(&b, `,"f:%s":{}`, k)
	}
	b.WriteString(`},"f:generateName":{},"f:labels":{".":{}`)
	for _, k := range sortedKeys(w.labels) {
		fmt.Fprintf(&b, `,"f:%s":{}`, k)
	}
	b.WriteString(`}},"f:spec":{"f:automountServiceAccountToken":{},"f:containers":{`)
	for i, c := range w.containers {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"k:{\"name\":%s}":{".":{},"f:env":{".":{}`, escaped(c.Name))
		for _, e := range c.Env {
			fmt.Fprintf(&b, `,"k:{\"name\":%s}":{".":{},"f:name":{},"f:value":{}}`, escaped(e.Name))
		}
		fmt.Fprintf(&b, `},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":%d,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}}`, c.Ports[0].ContainerPort)
		if c.ReadinessProbe != nil {
			b.WriteString(`,"f:readinessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}}`)
		}
		b.WriteString(`,"f:resources":{".":{},"f:limits":{".":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{},"f:volumeMounts":{".":{},"k:{\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}":{".":{},"f:mountPath":{},"f:name":{},"f:readOnly":{}}}}`)
	}
	b.WriteString(`},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:serviceAccount":{},"f:serviceAccountName":{},"f:terminationGracePeriodSeconds":{},"f:tolerations":{},"f:volumes":{".":{},"k:{\"name\":\"kube-api-access\"}":{".":{},"f:emptyDir":{},"f:name":{}}}}}`)
	return []byte(b.String())
}

// escaped is a string as it stands inside a quoted JSON key.
func escaped(s string) string { return `\"` + s + `\"` }

const statusFields = `{"f:status":{"f:conditions":{` +
	`"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}},` +
	`"k:{\"type\":\"Initialized\"}":{".":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}},` +
	`"k:{\"type\":\"PodReadyToStartContainers\"}":{".":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}},` +
	`"k:{\"type\":\"Ready\"}":{".":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}}},` +
	`"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:observedGeneration":{},"f:phase":{},"f:podIP":{},` +
	`"f:podIPs":{".":{},"k:{\"ip\":\"10.0.0.1\"}":{".":{},"f:ip":{}}},"f:startTime":{}}}`
