//go:build tools

// Package rig pins what the live rig builds. The imports below are never compiled into rigtool: they keep
// the servers in go.mod and go.sum, so that `rig.sh build` needs no `go mod tidy`.
package rig

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
