#!/usr/bin/env bash
#
# rig.sh - a real Kubernetes control plane on loopback, for ekscope's live tests.
#
# Everything is built from Go modules (pinned in rig/go.mod and rig/go.sum) and run as plain processes: etcd,
# kube-apiserver, kube-controller-manager, kube-scheduler, kwok in place of the kubelets, and Karpenter where it is asked
# for. No containers, no root; nothing but Karpenter, which cannot be told, listens on anything but 127.0.0.1. Each rig
# keeps its whole state in one folder; several may run at once.
#
# See README.md beside this file, or `rig.sh help`.

set -euo pipefail

readonly KUBE_VERSION=v1.36.3
readonly KWOK_VERSION=v0.8.0
readonly KARPENTER_VERSION=v1.14.1
readonly SKIPPED=3 # exit code for "this machine cannot run live tests"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
readonly SELF=$HERE/rig.sh
readonly CACHE=${EKSCOPE_RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ekscope-rig}

usage() {
  cat <<'HELP'
usage: rig.sh COMMAND [ARGUMENTS]

  build                    build what is missing (first time: minutes; afterwards: nothing to do)
  build-karpenter          build Karpenter with its provider of kwok nodes, for `karpenter`
  build-old-etcd           fetch Debian's etcd 3.4, for `start --old-etcd`
  bin                      print the folder of the built programs

  start DIR [OPTIONS]      start a control plane whose state lives in DIR; prints one line when it is ready.
                           A DIR that was stopped comes back with its objects (give the options again).
      --bare                 etcd and API server only: no controllers, no scheduler, no kwok
      --no-kwok              no kwok: pods stay as they are written
      --no-watchlist         API server without the WatchList feature
      --old-etcd             etcd 3.4: the API server accepts WatchList requests and fails them in the stream
      --webhook FILE         kubeconfig of a token webhook (granted tokens stay cached for 10 s, refusals are not)
      --apiserver-flag FLAG  one more API server flag (repeatable)
      --forward POD=LOCAL    port-forward to a pod's port POD ends at 127.0.0.1:LOCAL (repeatable)
      --die-with PID         stop the rig when process PID is gone
  karpenter DIR            run Karpenter against it, with the pools of rig/karpenter.yaml; ends with the rig
  stop DIR                 stop it (objects stay in DIR)
  status DIR               what runs, with pids
  stop-apiserver DIR       TERM, and KILL a second later if watches hold it
  kill-apiserver DIR       KILL
  start-apiserver DIR      same port, same flags; waits until ready
  seed DIR NAME [FLAGS] [NAME [FLAGS]]...
                           write objects: bulk, cases, crds, workloads, metrics, users, churn
                           (`rig.sh seed DIR NAME -h` lists the flags)
  env DIR                  print shell lines that set KUBECONFIG and PATH
HELP
}

die() {
  echo "rig.sh: $*" >&2
  exit 1
}

skip() {
  echo "live tests skipped: $*" >&2
  exit "$SKIPPED"
}

# --- Building -------------------------------------------------------------------------------------------------------

hash_of() { # hash of standard input, 12 characters
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c1-12
}

# The servers' folder is named by what they are built from, so two checkouts share one build or have one each.
bin_dir() {
  local hash
  hash=$({ cat "$HERE"/rig/go.mod "$HERE"/rig/go.sum "$HERE"/rig/tools.go && echo "$KUBE_VERSION $KWOK_VERSION" && uname -sm; } | hash_of)
  echo "$CACHE/bin-$hash"
}

# rigtool changes more often than the servers; its file name carries the hash of its own sources.
rigtool_path() {
  echo "$1/rigtool-$(cat "$HERE"/rig/cmd/rigtool/*.go | hash_of)"
}

go_build() { # go_build OUTPUT LDFLAGS PACKAGE
  local tmp
  tmp=$1.$$
  echo "building $(basename "$1")" >&2
  (cd "$HERE/rig" && CGO_ENABLED=0 nice go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w $2" -o "$tmp" "$3") ||
    die "cannot build $(basename "$1")"
  mv "$tmp" "$1"
}

go_install() { # go_install FOLDER PACKAGE@VERSION: what is not in our go.mod, as it pins other versions than ours
  echo "building $2" >&2
  (cd / && CGO_ENABLED=0 GOBIN=$1 GOFLAGS="" nice go install -trimpath -ldflags "-s -w" "$2") ||
    die "cannot build $2: where no module could be fetched, $(go env GOPROXY) has to be within reach (GOPROXY, HTTPS_PROXY)"
}

build() {
  local bin rigtool name missing=()
  bin=$(bin_dir)
  rigtool=$(rigtool_path "$bin")
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok; do
    [[ -x $bin/$name ]] || missing+=("$name")
  done
  [[ -x $rigtool ]] || missing+=(rigtool)
  ((${#missing[@]})) || return 0

  command -v go >/dev/null || skip "Go is not installed"
  mkdir -p "$bin"
  # One builder at a time; the second one finds everything done.
  if command -v flock >/dev/null && [[ -z ${EKSCOPE_RIG_LOCKED:-} ]]; then
    EKSCOPE_RIG_LOCKED=1 exec flock "$bin/.lock" "$SELF" build
  fi
  # Without these the server calls itself v0.0.0, and clients misjudge what it can do.
  local p=k8s.io/component-base/version
  local minor=${KUBE_VERSION#v1.}
  local version="-X $p.gitVersion=$KUBE_VERSION -X $p.gitMajor=1 -X $p.gitMinor=${minor%%.*}"
  for name in "${missing[@]}"; do
    case $name in
      rigtool)
        go_build "$rigtool" "" ./cmd/rigtool
        ln -sf "$(basename "$rigtool")" "$bin/rigtool"
        find "$bin" -name 'rigtool-*' -mtime +1 -delete
        ;;
      etcd) go_build "$bin/etcd" "" go.etcd.io/etcd/server/v3 ;;
      kwok) go_install "$bin" "sigs.k8s.io/kwok/cmd/kwok@$KWOK_VERSION" ;;
      *) go_build "$bin/$name" "$version" "k8s.io/kubernetes/cmd/$name" ;;
    esac
  done
}

# The program and its definitions, in a folder of their own: it is called kwok too.
build_karpenter() {
  local module folder=$CACHE/karpenter-$KARPENTER_VERSION tmp=$CACHE/karpenter.$$
  [[ ! -d $folder ]] || return 0
  command -v go >/dev/null || skip "Go is not installed"
  mkdir -p "$tmp/crds"
  go_install "$tmp" "sigs.k8s.io/karpenter/kwok@$KARPENTER_VERSION"
  module=$(go env GOMODCACHE)/sigs.k8s.io/karpenter@$KARPENTER_VERSION
  cp "$module"/pkg/apis/crds/*.yaml "$module"/kwok/apis/crds/*.yaml "$tmp/crds" || die "no definitions in $module"
  chmod -R u+w "$tmp"
  mv "$tmp/kwok" "$tmp/karpenter"
  # Of two builders at a time one comes too late, with the same.
  mv -T "$tmp" "$folder" 2>/dev/null || rm -rf "$tmp"
}

build_old_etcd() {
  [[ ! -x $CACHE/etcd-3.4/usr/bin/etcd ]] || return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    skip "etcd 3.4 comes from Debian's etcd-server package, and this machine has no apt"
  fi
  local tmp=$CACHE/etcd-3.4.$$
  mkdir -p "$tmp"
  # apt drops privileges for downloads and warns where it cannot write as that user: harmless.
  if ! (cd "$tmp" && apt-get download -o APT::Sandbox::User=root etcd-server >apt.log 2>&1); then
    cat "$tmp/apt.log" >&2
    rm -rf "$tmp"
    skip "apt cannot download etcd-server (no network, or run apt-get update)"
  fi
  dpkg-deb -x "$tmp"/etcd-server_*.deb "$tmp" || die "cannot unpack etcd-server"
  rm -f "$tmp"/*.deb
  mv -T "$tmp" "$CACHE/etcd-3.4" 2>/dev/null || rm -rf "$tmp"
  [[ -x $CACHE/etcd-3.4/usr/bin/etcd ]] || die "etcd-server package without /usr/bin/etcd"
}

# --- Processes ------------------------------------------------------------------------------------------------------
# Every process of a rig has its own process group and a pid file, and names DIR in its arguments: that is how a stale
# pid file, whose number belongs to somebody else by now, is told from a live one.

pid_of() { # prints the pid of a component of $DIR that runs, or fails
  local pid file=$DIR/pid/$1
  [[ -s $file ]] || return 1
  pid=$(<"$file")
  if [[ -r /proc/$pid/cmdline ]]; then
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$DIR/" || return 1
  else
    ps -ww -o args= -p "$pid" 2>/dev/null | grep -qF -- "$DIR/" || return 1
  fi
  echo "$pid"
}

spawn() { # spawn NAME COMMAND...
  local name=$1
  shift
  if command -v setsid >/dev/null; then
    setsid "$@" >>"$DIR/log/$name.log" 2>&1 </dev/null &
  else
    nohup "$@" >>"$DIR/log/$name.log" 2>&1 </dev/null &
  fi
  echo $! >"$DIR/pid/$name"
  disown
}

send() { # send SIGNAL PID: to the whole group where it leads one
  kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2" 2>/dev/null || true
}

# TERM first; KILL what is still there after the given tenths of a second.
end() { # end NAME TENTHS
  local pid tenths=$2
  pid=$(pid_of "$1") || {
    rm -f "$DIR/pid/$1"
    return 0
  }
  ((tenths == 0)) || send TERM "$pid"
  while ((tenths-- > 0)); do
    pid_of "$1" >/dev/null || break
    sleep 0.1
  done
  if pid_of "$1" >/dev/null; then
    send KILL "$pid"
    while pid_of "$1" >/dev/null; do sleep 0.02; done
  fi
  rm -f "$DIR/pid/$1"
}

# --- Commands on a rig ----------------------------------------------------------------------------------------------

need_dir() { # sets DIR to the absolute path of a rig that was started once
  [[ -n ${1:-} ]] || die "which DIR?"
  [[ -f $1/rig.env ]] || die "$1 is not a rig (no rig.env)"
  DIR=$(cd "$1" && pwd)
  # shellcheck source=/dev/null
  source "$DIR/rig.env" # BIN, RIGTOOL, API_PORT, ETCD_PORT, KUBELET_PORT
  [[ -x $RIGTOOL ]] || RIGTOOL=$BIN/rigtool # an old one, tidied away
}

fail_start() { # fail_start COMPONENT: shows why, leaves nothing running
  echo "rig.sh: $1 did not become ready; the end of $DIR/log/$1.log:" >&2
  tail -n 15 "$DIR/log/$1.log" >&2 || true
  stop
  exit 1
}

run_apiserver() {
  local args=()
  mapfile -t args <"$DIR/conf/apiserver.args"
  # Half of Go's usual slack: with 100,000 pods it is the difference between 9 and 15 GB.
  spawn apiserver env GOGC="${GOGC:-50}" "$BIN/kube-apiserver" "${args[@]}"
  "$RIGTOOL" wait --dir "$DIR" --pid "$(<"$DIR/pid/apiserver")" || fail_start apiserver
}

write_kwok_config() { # write_kwok_config [POD=LOCAL...]
  local pair
  cat "$HERE/rig/kwok/stages.yaml"
  sed "s#@LOGS@#$DIR/log/sample.log#" "$HERE/rig/kwok/kubelet.yaml"
  cat <<YAML
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterPortForward
metadata:
  name: forward
spec:
  forwards:
YAML
  for pair in "$@"; do
    printf '  - ports: [%s]\n    target: {address: 127.0.0.1, port: %s}\n' "${pair%%=*}" "${pair#*=}"
  done
  # Any other port of any pod leads to kwok's own server, which answers `ok` to GET /healthz.
  printf '  - target: {address: 127.0.0.1, port: %s}\n' "$KUBELET_PORT"
}

start() {
  local started=$EPOCHREALTIME bare=no kwok=yes watchlist=yes old_etcd=no webhook="" die_with="" extra=() forwards=()
  [[ -n ${1:-} && $1 != -* ]] || die "start: which DIR?"
  mkdir -p "$1"
  DIR=$(cd "$1" && pwd)
  shift
  while (($#)); do
    case $1 in
      --bare) bare=yes ;;
      --no-kwok) kwok=no ;;
      --no-watchlist) watchlist=no ;;
      --old-etcd) old_etcd=yes ;;
      --webhook | --apiserver-flag | --forward | --die-with)
        (($# > 1)) || die "start: $1 wants a value"
        case $1 in
          --webhook) webhook=$2 ;;
          --apiserver-flag) extra+=("$2") ;;
          --forward) forwards+=("$2") ;;
          --die-with) die_with=$2 ;;
        esac
        shift
        ;;
      *) die "start: unknown option $1" ;;
    esac
    shift
  done

  if pid_of apiserver >/dev/null || pid_of etcd >/dev/null; then die "$DIR is running already"; fi
  (build) || exit $?
  local etcd
  BIN=$(bin_dir)
  RIGTOOL=$(rigtool_path "$BIN")
  etcd=$BIN/etcd
  if [[ $old_etcd == yes ]]; then
    (build_old_etcd) || exit $?
    etcd=$CACHE/etcd-3.4/usr/bin/etcd
  fi

  mkdir -p "$DIR"/{conf,log,pid,certs}
  if [[ ! -f $DIR/rig.env ]]; then
    # Below the range the kernel hands out to clients, so that the same ports are free after a restart.
    read -r API_PORT ETCD_PORT PEER_PORT KUBELET_PORT < <("$RIGTOOL" ports -n 4)
  else
    # shellcheck source=/dev/null
    source <(grep _PORT= "$DIR/rig.env")
  fi
  {
    printf '%s=%q\n' BIN "$BIN" RIGTOOL "$RIGTOOL" SERVER "https://127.0.0.1:$API_PORT"
    printf '%s=%s\n' API_PORT "$API_PORT" ETCD_PORT "$ETCD_PORT" PEER_PORT "$PEER_PORT" KUBELET_PORT "$KUBELET_PORT"
  } >"$DIR/rig.env"
  "$RIGTOOL" init --dir "$DIR" --api-port "$API_PORT"

  spawn etcd "$etcd" --name rig --data-dir "$DIR/etcd" --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls "http://127.0.0.1:$PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$PEER_PORT" \
    --initial-cluster "rig=http://127.0.0.1:$PEER_PORT" \
    --quota-backend-bytes 8589934592 --snapshot-count 10000 --log-level warn

  {
    printf '%s\n' \
      --etcd-servers="http://127.0.0.1:$ETCD_PORT" \
      --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$API_PORT" \
      --tls-cert-file="$DIR/certs/server.crt" --tls-private-key-file="$DIR/certs/server.key" \
      --client-ca-file="$DIR/certs/ca.crt" \
      --token-auth-file="$DIR/conf/tokens.csv" --authorization-mode=Node,RBAC \
      --service-account-issuer=https://kubernetes.default.svc \
      --service-account-key-file="$DIR/certs/sa.pub" --service-account-signing-key-file="$DIR/certs/sa.key" \
      --service-cluster-ip-range=10.96.0.0/16 --endpoint-reconciler-type=none \
      --kubelet-preferred-address-types=InternalIP \
      --disable-admission-plugins=ServiceAccount --allow-privileged=true \
      --enable-priority-and-fairness=false --max-requests-inflight=3000 --max-mutating-requests-inflight=1000 \
      --event-ttl=24h --request-timeout=5m # a list of 100,000 pods on a busy machine may take more than one minute
    [[ $watchlist == yes ]] || printf '%s\n' --feature-gates=WatchList=false
    # The webhook's own cache is off. What remains is the server's cache of granted tokens, 10 s, which has no flag.
    [[ -z $webhook ]] || printf '%s\n' --authentication-token-webhook-config-file="$(realpath "$webhook")" \
      --authentication-token-webhook-version=v1 --authentication-token-webhook-cache-ttl=0s
    ((${#extra[@]} == 0)) || printf '%s\n' "${extra[@]}"
  } >"$DIR/conf/apiserver.args"
  run_apiserver
  "$RIGTOOL" users --dir "$DIR" >/dev/null || fail_start apiserver

  if [[ $bare == no ]]; then
    local client=(--kubeconfig="$DIR/conf/system.kubeconfig" --leader-elect=false --secure-port=0
      --kube-api-qps=2000 --kube-api-burst=4000)
    # No kubelet renews anything here, so nodes must not time out and finished pods stay. The autoscaler is off: it
    # would write events for ever, and the statuses of seeded ones are to stay put.
    spawn controller-manager "$BIN/kube-controller-manager" "${client[@]}" \
      --controllers='*,-horizontal-pod-autoscaler-controller' \
      --node-monitor-grace-period=87600h --terminated-pod-gc-threshold=0 \
      --service-account-private-key-file="$DIR/certs/sa.key" --root-ca-file="$DIR/certs/ca.crt"
    spawn scheduler "$BIN/kube-scheduler" "${client[@]}"
    if [[ $kwok == yes ]]; then
      [[ -f $DIR/log/sample.log ]] || "$RIGTOOL" samplelog >"$DIR/log/sample.log"
      write_kwok_config ${forwards[@]+"${forwards[@]}"} >"$DIR/conf/kwok.yaml"
      spawn kwok "$BIN/kwok" --kubeconfig="$DIR/conf/system.kubeconfig" --config="$DIR/conf/kwok.yaml" \
        --manage-all-nodes=true --node-lease-duration-seconds=0 \
        --node-ip=127.0.0.1 --node-port="$KUBELET_PORT" --server-address="127.0.0.1:$KUBELET_PORT" \
        --tls-cert-file="$DIR/certs/server.crt" --tls-private-key-file="$DIR/certs/server.key"
    fi
    sleep 0.2
    local name
    for name in controller-manager scheduler kwok; do
      [[ $name == kwok && $kwok == no ]] || pid_of "$name" >/dev/null || fail_start "$name"
    done
  fi

  if [[ -n $die_with ]]; then
    # shellcheck disable=SC2016  # expanded by the inner shell
    spawn reaper bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; exec "$2" stop "$3"' "$DIR/" "$die_with" "$SELF" "$DIR"
  fi
  awk -v a="$started" -v b="$EPOCHREALTIME" -v p="$API_PORT" 'BEGIN { printf "ready https://127.0.0.1:%s in %.1fs\n", p, b - a }'
}

karpenter() {
  local folder=$CACHE/karpenter-$KARPENTER_VERSION kubectl=("$BIN/kubectl" "--kubeconfig=$DIR/kubeconfig")
  if pid_of karpenter >/dev/null; then die "Karpenter runs against $DIR already"; fi
  (build_karpenter) || exit $?
  "${kubectl[@]}" apply --server-side -f "$folder/crds" >>"$DIR/log/karpenter.log" 2>&1 || fail_start karpenter
  "${kubectl[@]}" wait --for=condition=Established --timeout=120s -f "$folder/crds" >>"$DIR/log/karpenter.log" 2>&1 ||
    fail_start karpenter
  # Any two ports do. It takes no --kubeconfig; the path of its log tells its process from others.
  spawn karpenter env KUBECONFIG="$DIR/conf/system.kubeconfig" SYSTEM_NAMESPACE=kube-system KUBERNETES_MIN_VERSION=1.28 \
    DISABLE_LEADER_ELECTION=true METRICS_PORT=0 HEALTH_PROBE_PORT=0 FEATURE_GATES=StaticCapacity=true \
    "$folder/karpenter" --log-output-paths="$DIR/log/karpenter.log"
  "${kubectl[@]}" apply --server-side -f "$HERE/rig/karpenter.yaml" >>"$DIR/log/karpenter.log" 2>&1 || fail_start karpenter
  "${kubectl[@]}" wait --for=condition=Ready --timeout=120s nodepools --all >>"$DIR/log/karpenter.log" 2>&1 ||
    fail_start karpenter
  echo "Karpenter $KARPENTER_VERSION runs"
}

stop() {
  local name
  for name in reaper karpenter kwok scheduler controller-manager; do
    # The reaper runs this very function: it must not end itself.
    [[ $name == reaper && $(cat "$DIR/pid/reaper" 2>/dev/null) == "$$" ]] || end "$name" 0
  done
  end apiserver 10
  end etcd 20
  rm -f "$DIR/pid/reaper"
}

status() {
  local name pid
  for name in etcd apiserver controller-manager scheduler kwok karpenter reaper; do
    pid=$(pid_of "$name") || pid=-
    printf '%-20s %s\n' "$name" "$pid"
  done
}

# `seed DIR bulk --pods 9 cases crds` runs rigtool three times; flags belong to the name before them.
seed() {
  local call=() word
  (($#)) || die "seed: which objects? (bulk, cases, crds, workloads, metrics, users, churn)"
  for word in "$@"; do
    case $word in
      bulk | cases | crds | workloads | metrics | users | churn)
        ((${#call[@]} == 0)) || "$RIGTOOL" "${call[@]}"
        call=("$word" --dir "$DIR")
        ;;
      *)
        ((${#call[@]})) || die "seed: $word is not a thing to seed"
        call+=("$word")
        ;;
    esac
  done
  "$RIGTOOL" "${call[@]}"
}

# --- Main -----------------------------------------------------------------------------------------------------------

command=${1:-help}
(($# == 0)) || shift
case $command in
  build) build ;;
  build-karpenter) build_karpenter ;;
  build-old-etcd) build_old_etcd ;;
  bin) bin_dir ;;
  start) start "$@" ;;
  karpenter)
    need_dir "${1:-}"
    karpenter
    ;;
  stop)
    need_dir "${1:-}"
    stop
    ;;
  status)
    need_dir "${1:-}"
    status
    ;;
  stop-apiserver)
    need_dir "${1:-}"
    end apiserver 10
    ;;
  kill-apiserver)
    need_dir "${1:-}"
    end apiserver 0
    ;;
  start-apiserver)
    need_dir "${1:-}"
    if pid_of apiserver >/dev/null; then die "the API server of $DIR is running already"; fi
    run_apiserver
    ;;
  seed)
    need_dir "${1:-}"
    shift
    # A rigtool newer than the rig is fine, and wanted while working on it.
    (build) || exit $?
    RIGTOOL=$(rigtool_path "$(bin_dir)")
    seed "$@"
    ;;
  env)
    need_dir "${1:-}"
    # shellcheck disable=SC2016  # expanded by the shell that reads it
    printf 'export KUBECONFIG=%q\nexport PATH=%q:"$PATH"\n' "$DIR/kubeconfig" "$BIN"
    ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
