package main

import (
	"context"
	"flag"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var reading = []string{"get", "list", "watch"}

type placed struct {
	resource schema.GroupVersionResource
	obj      object
}

func defineUsers(fs *flag.FlagSet) func(context.Context, *rig) error {
	count := fs.Int("pods", 0, "also write so many running pods and a service to each of team-a and team-b")
	return func(ctx context.Context, r *rig) error {
		_, dyn, err := r.api()
		if err != nil {
			return err
		}
		objects := []placed{
			{namespaces, namespace("team-a")},
			{namespaces, namespace("team-b")},
			// viewer: the whole cluster, nodes too, without secrets. Spelt out, because RBAC knows no exceptions.
			{clusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "rig-viewer"}, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Verbs: reading, Resources: []string{
					"bindings", "componentstatuses", "configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes",
					"persistentvolumeclaims", "persistentvolumes", "pods", "pods/log", "pods/status", "podtemplates",
					"replicationcontrollers", "resourcequotas", "serviceaccounts", "services",
				}},
				{Verbs: reading, Resources: []string{"*"}, APIGroups: []string{
					"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "autoscaling",
					"batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io",
					"flowcontrol.apiserver.k8s.io", "karpenter.sh", "karpenter.k8s.aws", "metrics.k8s.io",
					"networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io",
					"rig.example.com", "scheduling.k8s.io", "storage.k8s.io",
				}},
			}}},
			{clusterRoleBindings, &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: "rig-viewer"},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "rig-viewer"},
				Subjects:   []rbacv1.Subject{user("viewer")},
			}},
			{clusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "rig-namespaces"}, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Verbs: reading, Resources: []string{"namespaces"}},
			}}},
			{clusterRoleBindings, &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: "rig-namespaces"},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "rig-namespaces"},
				Subjects:   []rbacv1.Subject{user("nsreader")},
			}},
			{roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "rig-pods"}, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Verbs: reading, Resources: []string{"pods"}},
			}}},
			{roleBindings, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "rig-pods"},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "rig-pods"},
				Subjects:   []rbacv1.Subject{user("nsreader")},
			}},
		}
		for _, ns := range []string{"team-a", "team-b"} {
			objects = append(objects,
				placed{roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "rig-team"}, Rules: []rbacv1.PolicyRule{
					{APIGroups: []string{""}, Verbs: reading, Resources: []string{
						"configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/log", "services",
					}},
					{APIGroups: []string{"apps"}, Verbs: reading, Resources: []string{"*"}},
					{APIGroups: []string{"batch"}, Verbs: reading, Resources: []string{"*"}},
				}}},
				placed{roleBindings, &rbacv1.RoleBinding{
					ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "rig-team"},
					RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "rig-team"},
					Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "rig:team"}},
				}},
			)
		}
		for _, o := range objects {
			if _, err := apply(ctx, dyn, o.resource, o.obj); err != nil {
				return err
			}
		}
		if *count > 0 {
			if err := teamPods(ctx, r, *count); err != nil {
				return err
			}
		}
		r.done("users: %d objects, %d pods", len(objects), 2**count)
		return nil
	}
}

// teamPods writes running pods like those of bulk, and a service for them.
func teamPods(ctx context.Context, r *rig, count int) error {
	_, dyn, err := r.api()
	if err != nil {
		return err
	}
	names, err := ensureNodes(ctx, r)
	if err != nil {
		return err
	}
	maker := newMaker(7, false)
	writer, err := newWriter(ctx, r)
	if err != nil {
		return err
	}
	for _, ns := range []string{"team-a", "team-b"} {
		load := maker.workload(0)
		load.namespace, load.name = ns, ns+"-web"
		load.labels["app.kubernetes.io/name"] = load.name
		for i := range count {
			pod := maker.pod(load, i, names[i%len(names)], fateRunning)
			if err := writer.put("pods/"+ns+"/"+pod.Name, pod); err != nil {
				return err
			}
		}
		if _, err := apply(ctx, dyn, services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: load.name},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app.kubernetes.io/name": load.name},
				Ports:    []corev1.ServicePort{{Name: "http", Port: 80}},
			},
		}); err != nil {
			return err
		}
	}
	return writer.close()
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}
}

// ensureNodes returns the names of the nodes, after writing three if there are none.
func ensureNodes(ctx context.Context, r *rig) ([]string, error) {
	client, _, err := r.api()
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var names []string
		for _, node := range list.Items {
			if node.Annotations[holdKey] == "" && !node.Spec.Unschedulable {
				names = append(names, node.Name)
			}
		}
		if len(names) > 0 {
			return names, nil
		}
		if attempt > 0 {
			return nil, fmt.Errorf("the nodes written to etcd do not show in the API")
		}
		if _, err := writeNodes(ctx, r, newMaker(1, false), 3, 0); err != nil {
			return nil, err
		}
	}
}
