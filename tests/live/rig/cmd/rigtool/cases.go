package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

const casesNamespace = "cases"

// oddPod is one pod of the namespace, and how it comes to be.
type oddPod struct {
	*corev1.Pod
	debug   *corev1.EphemeralContainerCommon // added after creation
	deleted bool                             // deleted after its status is written; nobody finishes the job
	raw     bool                             // the API refuses it: straight into etcd
}

func defineCases(*flag.FlagSet) func(context.Context, *rig) error {
	return func(ctx context.Context, r *rig) error {
		client, dyn, err := r.api()
		if err != nil {
			return err
		}
		names, err := ensureNodes(ctx, r)
		if err != nil {
			return err
		}
		if _, err := apply(ctx, dyn, namespaces, namespace(casesNamespace)); err != nil {
			return err
		}
		if _, err := apply(ctx, dyn, gvr("node.k8s.io/v1/runtimeclasses"), &nodev1.RuntimeClass{
			ObjectMeta: metav1.ObjectMeta{Name: "rig-overhead"}, Handler: "kata",
			Overhead: &nodev1.Overhead{PodFixed: amounts("cpu=250m memory=120Mi")},
		}); err != nil {
			return err
		}
		if err := clearCases(ctx, client); err != nil {
			return err
		}
		writer, err := newWriter(ctx, r)
		if err != nil {
			return err
		}
		made := oddPods(time.Now())
		for i, odd := range made {
			odd.Namespace = casesNamespace
			if odd.Spec.NodeName == "" {
				odd.Spec.NodeName = names[i%len(names)]
			} else if odd.Spec.NodeName == nowhere {
				odd.Spec.NodeName = ""
			}
			if odd.raw {
				odd.UID = uid(newMaker(3, false).random(odd.Name))
				if err := writer.put("pods/"+casesNamespace+"/"+odd.Name, odd.Pod); err != nil {
					return err
				}
			} else if err := createCase(ctx, client, odd); err != nil {
				return fmt.Errorf("pod %s: %w", odd.Name, err)
			}
		}
		port, err := r.kubeletPort()
		if err != nil {
			return err
		}
		strange := oddNodes(newMaker(4, false), port)
		for _, node := range strange {
			if err := writer.put("minions/"+node.Name, node); err != nil {
				return err
			}
		}
		if err := writer.close(); err != nil {
			return err
		}
		r.done("cases: %d pods, %d nodes", len(made), len(strange))
		return nil
	}
}

// clearCases removes the pods of an earlier run, finalizers or not.
func clearCases(ctx context.Context, client *kubernetes.Clientset) error {
	api := client.CoreV1().Pods(casesNamespace)
	list, err := api.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	now := int64(0)
	for _, pod := range list.Items {
		if len(pod.Finalizers) > 0 {
			if _, err := api.Patch(ctx, pod.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
				return err
			}
		}
		if err := api.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func createCase(ctx context.Context, client *kubernetes.Clientset, odd oddPod) error {
	api := client.CoreV1().Pods(casesNamespace)
	if _, err := api.Create(ctx, odd.Pod, metav1.CreateOptions{}); err != nil {
		return err
	}
	if odd.debug != nil {
		got, err := api.Get(ctx, odd.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		got.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: *odd.debug}}
		if _, err := api.UpdateEphemeralContainers(ctx, odd.Name, got, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	// The scheduler may write at the same time.
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		got, err := api.Get(ctx, odd.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		odd.Status.QOSClass = got.Status.QOSClass
		got.Status = odd.Status
		_, err = api.UpdateStatus(ctx, got, metav1.UpdateOptions{})
		return err
	})
	if err == nil && odd.deleted {
		err = api.Delete(ctx, odd.Name, metav1.DeleteOptions{})
	}
	return err
}

// oddNodes are nodes in states that kwok would repair; hence the annotation.
func oddNodes(maker *maker, port int32) []*corev1.Node {
	var made []*corev1.Node
	for i, name := range []string{"not-ready", "unknown", "pressure", "cordoned", "fargate", "bare"} {
		node := maker.node(60000+i, port)
		node.Annotations[holdKey] = "true"
		ready := &node.Status.Conditions[3]
		switch name {
		case "not-ready":
			ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "KubeletNotReady", "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
		case "unknown":
			ready.Status, ready.Reason, ready.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
		case "pressure":
			for i := range 3 {
				node.Status.Conditions[i].Status = corev1.ConditionTrue
			}
		case "cordoned":
			node.Spec.Unschedulable = true
		case "fargate":
			node.Name = "fargate-ip-10-17-0-8.eu-west-1.compute.internal"
			node.Labels = map[string]string{
				"eks.amazonaws.com/compute-type": "fargate", corev1.LabelHostname: node.Name,
				corev1.LabelTopologyZone: "eu-west-1a", corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			}
		case "bare":
			// A node that has just registered: no labels, no status.
			node.Name, node.Labels, node.Status, node.Spec = "bare", nil, corev1.NodeStatus{}, corev1.NodeSpec{}
		}
		if name != "bare" {
			if node.Labels == nil {
				node.Labels = map[string]string{}
			}
			node.Labels["ekscope-rig/odd"] = name
			node.Spec.Unschedulable = true
			if name != "cordoned" {
				node.Spec.Unschedulable = false
				node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "ekscope-rig/odd", Effect: corev1.TaintEffectNoSchedule})
			}
		}
		made = append(made, node)
	}
	return made
}

var long = strings.Repeat("very-long-name-", 17)[:252] + "x"
