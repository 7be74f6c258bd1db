package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func defineChurn(fs *flag.FlagSet) func(context.Context, *rig) error {
	var (
		rate     = fs.Float64("rate", 50, "changes a second")
		seconds  = fs.Float64("seconds", 10, "for so long")
		replaced = fs.Float64("replace", 0.1, "this share deletes a pod and creates another instead of patching a status")
		ns       = fs.String("namespace", "", "only pods of this namespace")
		seed     = fs.Uint64("seed", uint64(time.Now().UnixNano()), "which pods, in which order")
	)
	return func(ctx context.Context, r *rig) error {
		client, _, err := r.api()
		if err != nil {
			return err
		}
		list, err := client.CoreV1().Pods(*ns).List(ctx, metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/managed-by=rig-bulk", FieldSelector: "status.phase=Running", Limit: 5000,
		})
		if err != nil {
			return err
		}
		list.Items = slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
		if len(list.Items) == 0 {
			return errors.New("no running pods of `bulk` to change")
		}
		var (
			random                   = rand.New(rand.NewPCG(*seed, 1))
			patched, swapped, missed atomic.Int64
			total                    = int(*rate * *seconds)
			start                    = time.Now()
			order                    = random.Perm(len(list.Items))
			swaps                    = make([]bool, total)
		)
		for i := range swaps {
			swaps[i] = random.Float64() < *replaced
		}
		err = each(total, 32, func(i int) error {
			// Paced by the clock, so that a slow answer does not lower the rate of those after it.
			select {
			case <-time.After(time.Until(start.Add(time.Duration(float64(i) / *rate * float64(time.Second))))):
			case <-ctx.Done():
				return ctx.Err()
			}
			pod := &list.Items[order[i%len(order)]]
			api := client.CoreV1().Pods(pod.Namespace)
			if !swaps[i] {
				patch, err := statusPatch(pod, i)
				if err != nil {
					return err
				}
				_, err = api.Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
				if apierrors.IsNotFound(err) {
					missed.Add(1)
					return nil
				}
				patched.Add(1)
				return err
			}
			now := int64(0)
			if err := api.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); apierrors.IsNotFound(err) {
				missed.Add(1)
				return nil
			} else if err != nil {
				return err
			}
			swapped.Add(1)
			_, err := api.Create(ctx, replacement(pod, *seed, i), metav1.CreateOptions{})
			return err
		})
		r.done("churn: %d statuses patched, %d pods replaced, %d gone before", patched.Load(), swapped.Load(), missed.Load())
		return err
	}
}

// statusPatch makes the first container look restarted just now, with a count not seen before. A list of statuses is
// replaced as a whole.
func statusPatch(pod *corev1.Pod, i int) ([]byte, error) {
	states := append([]corev1.ContainerStatus(nil), pod.Status.ContainerStatuses...)
	if len(states) > 0 {
		now := metav1.Now()
		states[0].RestartCount = int32(1000 + i)
		states[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
		states[0].LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, Reason: "Error", StartedAt: now, FinishedAt: now,
		}}
	}
	return json.Marshal(map[string]any{"status": map[string]any{"containerStatuses": states}})
}

// replacement is what a controller would create: same template, new name, on the same node, pending.
func replacement(pod *corev1.Pod, seed uint64, i int) *corev1.Pod {
	next := &corev1.Pod{Spec: *pod.Spec.DeepCopy()}
	next.Namespace, next.Labels, next.Annotations = pod.Namespace, pod.Labels, pod.Annotations
	next.Name = pod.GenerateName + suffix(rand.New(rand.NewPCG(seed, uint64(i))), 5)
	return next
}
