package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func defineWorkloads(fs *flag.FlagSet) func(context.Context, *rig) error {
	var (
		deployments = fs.Int("deployments", 0, "so many plain deployments more, in namespace load")
		replicas    = fs.Int("replicas", 10, "pods of each of these")
	)
	return func(ctx context.Context, r *rig) error {
		client, dyn, err := r.api()
		if err != nil {
			return err
		}
		names, err := ensureNodes(ctx, r)
		if err != nil {
			return err
		}
		// The daemon set runs on three nodes.
		for _, name := range names[:min(3, len(names))] {
			if _, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"ekscope-rig/daemon":"true"}}}`), metav1.PatchOptions{}); err != nil {
				return err
			}
		}
		count, err := applyFile(ctx, r, "workloads.yaml")
		if err != nil {
			return err
		}
		if err := client.CoreV1().Namespaces().Delete(ctx, "leaving", metav1.DeleteOptions{}); err != nil && !apierrors.IsConflict(err) {
			return err
		}
		if *deployments > 0 {
			if _, err := apply(ctx, dyn, namespaces, namespace("load")); err != nil {
				return err
			}
		}
		if err := each(*deployments, 8, func(i int) error {
			_, err := apply(ctx, dyn, gvr("apps/v1/deployments"), plainDeployment(i, int32(*replicas)))
			return err
		}); err != nil {
			return err
		}
		r.done("workloads: %d objects, %d plain deployments", count, *deployments)
		return nil
	}
}

func plainDeployment(i int, replicas int32) *appsv1.Deployment {
	r := rand.New(rand.NewPCG(5, uint64(i)))
	name := fmt.Sprintf("%s-%s-%03d", serviceWords[i%len(serviceWords)], pick(r, serviceKinds), i)
	labels := map[string]string{"app": name}
	container := corev1.Container{Name: "app", Image: "registry.example/load/" + name + ":1"}
	container.Resources.Requests = amounts("cpu=50m memory=64Mi")
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "load", Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{container}},
			},
		},
	}
}
