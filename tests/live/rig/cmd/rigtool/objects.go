package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

//go:embed objects/*.yaml
var objectFiles embed.FS

// applyFile applies the documents of an embedded file, in order, and returns how many there were.
func applyFile(ctx context.Context, r *rig, name string) (int, error) {
	raw, err := objectFiles.ReadFile("objects/" + name)
	if err != nil {
		return 0, err
	}
	mapper, dyn, err := r.mapper()
	if err != nil {
		return 0, err
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for count := 0; ; count++ {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(obj); errors.Is(err, io.EOF) {
			return count, nil
		} else if err != nil {
			return count, fmt.Errorf("%s, document %d: %w", name, count+1, err)
		}
		mapping, err := mapper.RESTMapping(obj.GroupVersionKind().GroupKind(), obj.GroupVersionKind().Version)
		if err != nil {
			return count, err
		}
		if _, err := apply(ctx, dyn, mapping.Resource, obj); err != nil {
			return count, err
		}
	}
}

// mapper finds the resource of a kind.
func (r *rig) mapper() (meta.RESTMapper, dynamic.Interface, error) {
	config, err := r.restConfig()
	if err != nil {
		return nil, nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	groups, err := restmapper.GetAPIGroupResources(client)
	if err != nil {
		return nil, nil, err
	}
	dyn, err := dynamic.NewForConfig(config)
	return restmapper.NewDiscoveryRESTMapper(groups), dyn, err
}
