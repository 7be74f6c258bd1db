package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// There is no metrics-server: the group is a pair of CRDs, and the usage is written once, straight into etcd.
func defineMetrics(fs *flag.FlagSet) func(context.Context, *rig) error {
	var (
		most = fs.Int("pods", 10_000, "at most so many pods get metrics")
		seed = fs.Uint64("seed", 1, "another seed, other values")
	)
	return func(ctx context.Context, r *rig) error {
		client, _, err := r.api()
		if err != nil {
			return err
		}
		if err := metricsCRDs(ctx, r); err != nil {
			return err
		}
		writer, err := newWriter(ctx, r)
		if err != nil {
			return err
		}
		random := rand.New(rand.NewPCG(*seed, 9))
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, node := range nodes.Items {
			if len(node.Status.Allocatable) == 0 {
				continue
			}
			if err := writeMetrics(writer, "nodes/"+node.Name, "NodeMetrics", node.ObjectMeta, map[string]any{
				"usage": usage(random, node.Status.Allocatable, 0.05, 0.9),
			}); err != nil {
				return err
			}
		}
		count, next := 0, ""
		for more := true; more && count < *most; more = next != "" {
			list, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 2000, Continue: next, FieldSelector: "status.phase=Running"})
			if err != nil {
				return err
			}
			next = list.Continue
			for _, pod := range list.Items {
				if count == *most {
					break
				}
				count++
				var containers []any
				for _, c := range pod.Spec.Containers {
					containers = append(containers, map[string]any{"name": c.Name, "usage": usage(random, c.Resources.Requests, 0.02, 1.6)})
				}
				if err := writeMetrics(writer, "pods/"+pod.Namespace+"/"+pod.Name, "PodMetrics", pod.ObjectMeta, map[string]any{"containers": containers}); err != nil {
					return err
				}
			}
		}
		if err := writer.close(); err != nil {
			return err
		}
		r.done("metrics: %d nodes, %d pods", len(nodes.Items), count)
		return nil
	}
}

// usage is a share of what was asked for, in the units metrics-server uses.
func usage(r *rand.Rand, of corev1.ResourceList, low, high float64) map[string]any {
	cpu, memory := 0.1, float64(64<<20)
	if q, ok := of[corev1.ResourceCPU]; ok {
		cpu = q.AsApproximateFloat64()
	}
	if q, ok := of[corev1.ResourceMemory]; ok {
		memory = q.AsApproximateFloat64()
	}
	share := func() float64 { return low + r.Float64()*(high-low) }
	return map[string]any{"cpu": fmt.Sprintf("%dn", int64(cpu*share()*1e9)), "memory": fmt.Sprintf("%dKi", int64(memory*share()/1024))}
}

// Custom resources are stored as JSON.
func writeMetrics(w *writer, key, kind string, of metav1.ObjectMeta, fields map[string]any) error {
	now := time.Now().UTC().Format(time.RFC3339)
	metadata := map[string]any{
		"name": of.Name, "uid": uid(newMaker(2, false).random(key)), "creationTimestamp": now, "generation": 1, "labels": of.Labels,
	}
	if of.Namespace != "" {
		metadata["namespace"] = of.Namespace
	}
	fields["apiVersion"], fields["kind"], fields["metadata"] = "metrics.k8s.io/v1beta1", kind, metadata
	fields["timestamp"], fields["window"] = now, "15.011s"
	raw, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	w.putRaw("metrics.k8s.io/"+key, raw)
	return nil
}

func metricsCRDs(ctx context.Context, r *rig) error {
	config, err := r.restConfig()
	if err != nil {
		return err
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	preserve := true
	for _, crd := range []struct {
		plural, kind string
		scope        apiextensions.ResourceScope
	}{{"pods", "PodMetrics", apiextensions.NamespaceScoped}, {"nodes", "NodeMetrics", apiextensions.ClusterScoped}} {
		_, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(ctx, &apiextensions.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{
				Name: crd.plural + ".metrics.k8s.io",
				// The API server guards the group names that belong to Kubernetes.
				Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, test rig"},
			},
			Spec: apiextensions.CustomResourceDefinitionSpec{
				Group: "metrics.k8s.io",
				Scope: crd.scope,
				Names: apiextensions.CustomResourceDefinitionNames{Plural: crd.plural, Kind: crd.kind, ListKind: crd.kind + "List"},
				Versions: []apiextensions.CustomResourceDefinitionVersion{{
					Name: "v1beta1", Served: true, Storage: true,
					Schema: &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &apiextensions.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve}},
				}},
			},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return awaitCRDs(ctx, client)
}
