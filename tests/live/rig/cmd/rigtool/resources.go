package main

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// gvr reads "group/version/resource", or "version/resource" of the core group.
func gvr(path string) schema.GroupVersionResource {
	parts := strings.Split(path, "/")
	if len(parts) == 2 {
		parts = append([]string{""}, parts...)
	}
	return schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}
}

var (
	pods       = gvr("v1/pods")
	services   = gvr("v1/services")
	namespaces = gvr("v1/namespaces")

	roles               = gvr("rbac.authorization.k8s.io/v1/roles")
	roleBindings        = gvr("rbac.authorization.k8s.io/v1/rolebindings")
	clusterRoles        = gvr("rbac.authorization.k8s.io/v1/clusterroles")
	clusterRoleBindings = gvr("rbac.authorization.k8s.io/v1/clusterrolebindings")
)
