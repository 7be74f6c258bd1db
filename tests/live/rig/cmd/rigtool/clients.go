package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// api returns the administrator's clients, without a client-side rate limit.
func (r *rig) api() (*kubernetes.Clientset, *dynamic.DynamicClient, error) {
	config, err := r.restConfig()
	if err != nil {
		return nil, nil, err
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(typed)
	return client, dyn, err
}

func (r *rig) restConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(r.dir, "conf", "system.kubeconfig"))
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // odd names are the point
	return config, nil
}

// etcd returns a client of the rig's etcd.
func (r *rig) etcd() (*clientv3.Client, error) {
	port, err := r.env("ETCD_PORT")
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{
		Endpoints:          []string{"http://127.0.0.1:" + port},
		DialTimeout:        5 * time.Second,
		Logger:             zap.NewNop(),
		MaxCallSendMsgSize: 16 << 20,
	})
}

// kubeletPort is where kwok serves logs and exec.
func (r *rig) kubeletPort() (int32, error) {
	value, err := r.env("KUBELET_PORT")
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseInt(value, 10, 32)
	return int32(port), err
}

// object is what apply needs of a Kubernetes object: typed, or unstructured.
type object interface {
	runtime.Object
	metav1.Object
}

// apply creates the object unless it is there, and writes its status if it has one: the API server ignores the status
// of a create request. It returns the object as the server has it now.
func apply(ctx context.Context, dyn dynamic.Interface, resource schema.GroupVersionResource, obj object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, err
	}
	wanted := &unstructured.Unstructured{Object: content}
	if kinds, _, err := scheme.Scheme.ObjectKinds(obj); err == nil {
		wanted.SetGroupVersionKind(kinds[0])
	}
	var target dynamic.ResourceInterface = dyn.Resource(resource)
	if obj.GetNamespace() != "" {
		target = dyn.Resource(resource).Namespace(obj.GetNamespace())
	}
	status, _, _ := unstructured.NestedMap(content, "status")
	for attempt := 0; ; attempt++ {
		got, err := target.Create(ctx, wanted, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			got, err = target.Get(ctx, obj.GetName(), metav1.GetOptions{})
		}
		if err == nil && !empty(status) {
			got.Object["status"] = status
			got, err = target.UpdateStatus(ctx, got, metav1.UpdateOptions{})
		}
		// A controller may have been faster.
		if apierrors.IsConflict(err) && attempt < 20 {
			continue
		}
		if err != nil {
			err = fmt.Errorf("%s %s/%s: %w", resource.Resource, obj.GetNamespace(), obj.GetName(), err)
		}
		return got, err
	}
}

// empty tells the status of a typed object that was never set, which is zeros and not nothing.
func empty(value any) bool {
	if fields, ok := value.(map[string]any); ok {
		for _, field := range fields {
			if !empty(field) {
				return false
			}
		}
		return true
	}
	return value == nil || value == int64(0) || value == false || value == ""
}

// each runs do for 0..n-1 on several goroutines and returns the first error.
func each(n, workers int, do func(i int) error) error {
	var (
		wait  sync.WaitGroup
		once  sync.Once
		first error
		next  = make(chan int)
		stop  = make(chan struct{})
	)
	for range workers {
		wait.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					once.Do(func() { first = err; close(stop) })
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-stop:
			break feed
		}
	}
	close(next)
	wait.Wait()
	return first
}
