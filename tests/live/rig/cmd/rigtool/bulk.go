package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

const podsPerWorkload = 20

func defineBulk(fs *flag.FlagSet) func(context.Context, *rig) error {
	var (
		nodeCount  = fs.Int("nodes", 0, "nodes to write")
		podCount   = fs.Int("pods", 0, "pods to write")
		first      = fs.Int("first-workload", 0, "number of the first workload: to add pods instead of writing the same again")
		realistic  = fs.Bool("realistic", false, "values that differ as on real clusters, so that gzip wins 6 to 10 times and not 20")
		healthy    = fs.Bool("healthy", false, "every pod runs and is ready")
		seed       = fs.Uint64("seed", 1, "same seed, same names, uids and values")
		nodePrefix = fs.Int("first-node", 0, "number of the first node")
	)
	return func(ctx context.Context, r *rig) error {
		maker := newMaker(*seed, *realistic)
		if *nodeCount > 0 {
			if _, err := writeNodes(ctx, r, maker, *nodeCount, *nodePrefix); err != nil {
				return err
			}
		}
		average := int64(0)
		if *podCount > 0 {
			written, revision, err := writePods(ctx, r, maker, *podCount, *first, *healthy)
			if err != nil {
				return err
			}
			if err := awaitPods(ctx, r, *podCount, revision); err != nil {
				return err
			}
			average = written / int64(*podCount)
		}
		r.done("bulk: %d nodes, %d pods of %d bytes", *nodeCount, *podCount, average)
		return nil
	}
}

// awaitPods returns when the API shows the pods from its watch cache, which may lag far behind many quick writes.
func awaitPods(ctx context.Context, r *rig, atLeast int, revision int64) error {
	client, _, err := r.api()
	if err != nil {
		return err
	}
	api := client.CoreV1().Pods("")
	cached := metav1.ListOptions{
		Limit: 1, ResourceVersion: strconv.FormatInt(revision, 10), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}
	for {
		list, err := api.List(ctx, cached)
		if apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) {
			// The server itself waits three seconds before it says so.
			continue
		}
		if err != nil {
			return err
		}
		count := len(list.Items)
		if list.RemainingItemCount != nil {
			count += int(*list.RemainingItemCount)
		}
		if count < atLeast {
			return fmt.Errorf("wrote %d pods, the API shows %d", atLeast, count)
		}
		return nil
	}
}

func writeNodes(ctx context.Context, r *rig, maker *maker, count, first int) ([]*corev1.Node, error) {
	port, err := r.kubeletPort()
	if err != nil {
		return nil, err
	}
	writer, err := newWriter(ctx, r)
	if err != nil {
		return nil, err
	}
	made := make([]*corev1.Node, count)
	for i := range made {
		made[i] = maker.node(first+i, port)
		if err := writer.put("minions/"+made[i].Name, made[i]); err != nil {
			return nil, err
		}
	}
	return made, writer.close()
}

// writePods returns the bytes written and the resource version of the last pod.
func writePods(ctx context.Context, r *rig, maker *maker, count, first int, healthy bool) (bytes, revision int64, err error) {
	names, err := ensureNodes(ctx, r)
	if err != nil {
		return 0, 0, err
	}
	workloads := (count + podsPerWorkload - 1) / podsPerWorkload
	writer, err := newWriter(ctx, r)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range bulkNamespaces {
		ns := namespace(name)
		maker.identify(&ns.ObjectMeta, "namespace/"+name)
		ns.Labels = map[string]string{"kubernetes.io/metadata.name": name, "team": name[:3], "pod-security.kubernetes.io/enforce": "baseline"}
		ns.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
		ns.Status.Phase = corev1.NamespaceActive
		if err := writer.put("namespaces/"+name, ns); err != nil {
			return 0, 0, err
		}
	}
	if err := writer.close(); err != nil {
		return 0, 0, err
	}
	var lock sync.Mutex
	workers := max(2, runtime.NumCPU())
	err = each(workers, workers, func(worker int) error {
		writer, err := newWriter(ctx, r)
		if err != nil {
			return err
		}
		for w := worker; w < workloads; w += workers {
			load := maker.workload(first + w)
			for i := range min(podsPerWorkload, count-w*podsPerWorkload) {
				f := fateRunning
				if !healthy {
					f = maker.fate(load, i)
				}
				// Pods of one workload spread over the nodes; 7919 is prime, so every node gets its share.
				at := ((first+w)*podsPerWorkload + i) * 7919 % len(names)
				pod := maker.pod(load, i, names[at], f)
				if err := writer.put("pods/"+pod.Namespace+"/"+pod.Name, pod); err != nil {
					return err
				}
			}
		}
		if err := writer.close(); err != nil {
			return err
		}
		lock.Lock()
		defer lock.Unlock()
		bytes += writer.bytes
		revision = max(revision, writer.revision)
		return nil
	})
	return bytes, revision, err
}

// writer puts objects into etcd the way the API server stores them: protobuf in an envelope. Each put is a request of
// its own, many at a time. Transactions would be quicker, but their objects share a revision, which the API server never
// lets happen, and a client that lists between two of them would watch from too late.
type writer struct {
	client     *clientv3.Client
	serializer *protobuf.Serializer
	bytes      int64

	requests chan putRequest
	wait     sync.WaitGroup
	lock     sync.Mutex
	err      error
	revision int64 // the highest: the newest object's resource version
}

type putRequest struct{ key, value string }

func newWriter(ctx context.Context, r *rig) (*writer, error) {
	client, err := r.etcd()
	if err != nil {
		return nil, err
	}
	w := &writer{
		client:     client,
		serializer: protobuf.NewSerializer(scheme.Scheme, scheme.Scheme),
		requests:   make(chan putRequest, 256),
	}
	for range 48 {
		w.wait.Go(func() {
			for request := range w.requests {
				answer, err := client.Put(ctx, request.key, request.value)
				w.lock.Lock()
				if err != nil {
					w.err = err
				} else {
					w.revision = max(w.revision, answer.Header.Revision)
				}
				w.lock.Unlock()
			}
		})
	}
	return w, nil
}

// put stores a typed object under /registry/KEY, before close returns.
func (w *writer) put(key string, obj kruntime.Object) error {
	kinds, _, err := scheme.Scheme.ObjectKinds(obj)
	if err != nil {
		return err
	}
	obj.GetObjectKind().SetGroupVersionKind(kinds[0])
	var buffer bytes.Buffer
	if err := w.serializer.Encode(obj, &buffer); err != nil {
		return err
	}
	w.putRaw(key, buffer.Bytes())
	return nil
}

func (w *writer) putRaw(key string, raw []byte) {
	w.bytes += int64(len(raw))
	w.requests <- putRequest{"/registry/" + key, string(raw)}
}

// close waits for what is under way.
func (w *writer) close() error {
	close(w.requests)
	w.wait.Wait()
	if w.err != nil {
		return w.err
	}
	return w.client.Close()
}
