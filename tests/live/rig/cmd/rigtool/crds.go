package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
)

func defineCRDs(fs *flag.FlagSet) func(context.Context, *rig) error {
	var (
		instances = fs.Int("instances", 30, "how many widgets")
		fillers   = fs.Int("fillers", 60, "how many CRDs more, with one object each")
	)
	return func(ctx context.Context, r *rig) error {
		_, dyn, err := r.api()
		if err != nil {
			return err
		}
		misc, err := applyFile(ctx, r, "misc.yaml")
		if err != nil {
			return err
		}
		if _, err := applyFile(ctx, r, "crds.yaml"); err != nil {
			return err
		}
		config, err := r.restConfig()
		if err != nil {
			return err
		}
		client, err := clientset.NewForConfig(config)
		if err != nil {
			return err
		}
		if err := each(*fillers, 4, func(i int) error {
			_, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(ctx, fillerCRD(i), metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				err = nil
			}
			return err
		}); err != nil {
			return err
		}
		if err := awaitCRDs(ctx, client); err != nil {
			return err
		}
		for i := range *instances {
			if _, err := apply(ctx, dyn, gvr("rig.example.com/v1/widgets"), widget(i)); err != nil {
				return err
			}
		}
		for i, size := range []string{"small", "medium", "large", "", "enormous"} {
			gadget := custom("rig.example.com/v2beta1", "Gadget", "", fmt.Sprint("gadget-", i))
			gadget.Object["size"] = size
			if _, err := apply(ctx, dyn, gvr("rig.example.com/v2beta1/gadgets"), gadget); err != nil {
				return err
			}
		}
		for i := range *fillers {
			crd := fillerCRD(i)
			filler := custom(crd.Spec.Group+"/v1", crd.Spec.Names.Kind, "misc", "only")
			if _, err := apply(ctx, dyn, gvr(crd.Spec.Group+"/v1/"+crd.Spec.Names.Plural), filler); err != nil {
				return err
			}
		}
		r.done("crds: %d CRDs, %d widgets, %d other objects", *fillers+2, *instances, misc+5+*fillers)
		return nil
	}
}

// awaitCRDs returns when the API server serves all of them.
func awaitCRDs(ctx context.Context, client *clientset.Clientset) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := client.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, crd := range list.Items {
			established := false
			for _, c := range crd.Status.Conditions {
				established = established || c.Type == apiextensions.Established && c.Status == apiextensions.ConditionTrue
			}
			if !established {
				return false, nil
			}
		}
		return true, nil
	})
}

func fillerCRD(i int) *apiextensions.CustomResourceDefinition {
	group := fmt.Sprintf("area%d.filler.example.com", i%8)
	plural := fmt.Sprintf("filler%02ds", i)
	preserve := true
	return &apiextensions.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group},
		Spec: apiextensions.CustomResourceDefinitionSpec{
			Group: group,
			Scope: apiextensions.NamespaceScoped,
			Names: apiextensions.CustomResourceDefinitionNames{Plural: plural, Kind: fmt.Sprintf("Filler%02d", i), Categories: []string{"fillers"}},
			Versions: []apiextensions.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &apiextensions.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve}},
			}},
		},
	}
}

func custom(apiVersion, kind, ns, name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	obj.SetNamespace(ns)
	obj.SetName(name)
	return obj
}

// widget leaves out more the higher its number is modulo ten.
func widget(i int) *unstructured.Unstructured {
	w := custom("rig.example.com/v1", "Widget", []string{"misc", "team-a"}[i%2], fmt.Sprintf("widget-%02d", i))
	w.SetLabels(map[string]string{"app.kubernetes.io/name": fmt.Sprint("app-", i%3)})
	w.SetAnnotations(map[string]string{"example.com/owner": "team " + string(rune('A'+i%4))})
	var items, tags []any
	for n := range int64(i % 4) {
		items = append(items, map[string]any{"name": fmt.Sprint("item-", n), "weight": n})
		tags = append(tags, fmt.Sprint("tag ", n))
	}
	spec := map[string]any{
		"text": fmt.Sprint("text ", i), "count": int64(i * 37 % 11), "long": int64(i) * 1_000_000_007, "ratio": float64(i) / 7,
		"enabled": i%2 == 0, "since": time.Now().Add(-time.Duration(i*i) * time.Hour).UTC().Format(time.RFC3339),
		"password": "s3cr3t", "items": items, "tags": tags, "selector": map[string]any{"a": "1", "b": fmt.Sprint(i)},
	}
	switch i % 10 {
	case 6:
		spec["text"] = "Zürich 東京 🚀 and a text that is much longer than any column can be expected to be"
	case 7:
		spec = map[string]any{}
	case 8:
		delete(w.Object, "spec")
		w.SetLabels(nil)
		w.SetAnnotations(nil)
		return w
	case 9:
		spec["text"] = ""
	}
	w.Object["spec"] = spec
	w.Object["status"] = map[string]any{"count": int64(i), "conditions": []any{
		map[string]any{"type": "Synced", "status": "True", "reason": "Done"},
		map[string]any{"type": "Ready", "status": []string{"True", "False", "Unknown"}[i%3], "reason": "Because"},
	}}
	return w
}
