#!/usr/bin/env bash
# Runs kubectl against the simulated cluster: what a person does with a cluster, and what the answers must say.
#
#   tests/demo/kubectl.sh [PROGRAM]     PROGRAM: the built ekscope, target/debug/ekscope where none is named
#
# kubectl is $KUBECTL, or the one that tests/live/rig.sh built. Without one nothing is tested: the script says so and
# ends with 0, or with 1 where EKSCOPE_RIG_REQUIRED is set.
set -uo pipefail

program=${1:-target/debug/ekscope}
kubectl=${KUBECTL:-$(ls -d "${XDG_CACHE_HOME:-$HOME/.cache}"/ekscope-rig/bin-*/kubectl 2>/dev/null | head -n 1)}
if [[ -z $kubectl || ! -x $kubectl ]]; then
    echo "skipped: no kubectl (tests/live/rig.sh builds one; or set KUBECTL)"
    [[ -z ${EKSCOPE_RIG_REQUIRED:-} ]]
    exit
fi

place=$(mktemp -d)
server=
finish() {
    [[ -n $server ]] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    rm -rf "$place"
}
trap finish EXIT

export EKSCOPE_CACHE_DIR=$place/cache EKSCOPE_STATE_DIR=$place/state EKSCOPE_CONFIG_DIR=$place/config
"$program" demo --serve --nodes 20 --pods 300 --seed 5 --speed 10 "${@:2}" >"$place/out" 2>&1 &
server=$!
for _ in {1..100}; do
    grep -q '^export KUBECONFIG=' "$place/out" && break
    sleep 0.1
done
KUBECONFIG=$(sed -n 's/^export KUBECONFIG=//p' "$place/out")
export KUBECONFIG
[[ -n $KUBECONFIG ]] || { cat "$place/out"; exit 1; }

passed=0 failed=0

# expect NAME CODE PATTERN ARGUMENTS…: kubectl ends with CODE (any: whichever) and says what matches PATTERN.
expect() {
    local name=$1 code=$2 pattern=$3 said ended
    shift 3
    said=$(timeout 60 "$kubectl" --cache-dir "$place/kubectl" "$@" 2>&1)
    ended=$?
    if [[ $code == any || $ended == "$code" ]] && grep -qE -- "$pattern" <<<"$said"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s (kubectl %s): ended with %s, wanted %s and /%s/\n%s\n\n' "$name" "$*" "$ended" "$code" "$pattern" \
            "$(head -n 25 <<<"$said")"
    fi
}

ask() {
    timeout 60 "$kubectl" --cache-dir "$place/kubectl" "$@"
}

expect 'get pods' 0 '^payments +.*Running' get pods -A
expect 'get by label' 0 'coredns' get pods -n kube-system -l app.kubernetes.io/name=coredns
expect 'get wide' 0 'NOMINATED NODE' get pods -n payments -o wide
expect 'get yaml' 0 'kind: Node$' get nodes -o yaml --chunk-size=5
expect 'get nothing' 1 'NotFound.*pods "none" not found' get pod none
expect 'get custom resources' 0 'arm-burst' get nodepools
expect 'get all' 0 'deployment.apps/' get all -n payments
expect 'get events' 0 'LAST SEEN' get events -A
expect 'api resources' 0 'poddisruptionbudgets +pdb +policy/v1' api-resources
expect 'explain itself' 0 'Server Version' version
expect 'top nodes' 0 'ip-10-' top nodes
expect 'top pods' 0 'Mi' top pods -n payments
expect 'can-i' 0 '^yes' auth can-i delete pods
expect 'can-i list' 0 'pods' auth can-i --list -n payments
expect 'whoami' 0 'demo' auth whoami

expect 'create deployment' 0 'deployment.apps/web created' create deployment web --image=nginx:1.29 --replicas=3
expect 'create again' 1 'already exists' create deployment web --image=nginx:1.29
expect 'roll-out' 0 'successfully rolled out' rollout status deployment/web --timeout=50s
expect 'scale' 0 'scaled' scale deployment/web --replicas=4
expect 'scaled' 0 'successfully rolled out' rollout status deployment/web --timeout=50s
expect 'scale on a condition' 1 'Expected replicas to be 9, was 4' scale deployment/web --current-replicas=9 --replicas=2
expect 'set image' 0 'image updated' set image deployment/web nginx=nginx:1.30
expect 'rolled' 0 'successfully rolled out' rollout status deployment/web --timeout=50s
expect 'history' 0 '^2 ' rollout history deployment/web
expect 'undo' 0 'rolled back' rollout undo deployment/web
expect 'undone' 0 'successfully rolled out' rollout status deployment/web --timeout=50s
expect 'undone to' 0 'nginx:1.29' get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}'
expect 'restart' 0 'restarted' rollout restart deployment/web
expect 'restarted' 0 'successfully rolled out' rollout status deployment/web --timeout=50s
expect 'describe deployment' 0 'ScalingReplicaSet +.*deployment-controller' describe deployment web
expect 'label' 0 'labeled' label deployment/web team=demo
expect 'annotate' 0 'annotated' annotate pod -l app=web note=here
expect 'annotated' 0 '^here( here)*$' get pods -l app=web -o 'jsonpath={.items[*].metadata.annotations.note}'
expect 'json patch' 0 'patched' patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":3}]'
expect 'bad patch' 1 'failed' patch deployment web --type=json -p '[{"op":"test","path":"/spec/replicas","value":9}]'
expect 'expose' 0 'service/web exposed' expose deployment web --port=80
expect 'autoscale' 0 'autoscaled' autoscale deployment web --min=2 --max=5 --cpu=50%
expect 'describe service' 0 'Type: +ClusterIP' describe service web
expect 'budget' 0 'created' create poddisruptionbudget web --selector=app=web --min-available=3
expect 'missing image' 0 'image updated' set image deployment/web nginx=nginx:missing
sleep 2
expect 'pull fails' 0 'ErrImagePull|ImagePullBackOff' get pods -l app=web
expect 'roll-out waits' 1 'timed out waiting|Waiting for' rollout status deployment/web --timeout=2s
expect 'undo again' 0 'rolled back' rollout undo deployment/web
expect 'mended' 0 'successfully rolled out' rollout status deployment/web --timeout=50s

pod=$(ask get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
expect 'describe pod' 0 'Successfully assigned default/web-' describe pod "$pod"
expect 'logs' 0 '.' logs "$pod" --tail=5
expect 'exec' 0 "^$pod\$" exec "$pod" -- hostname
expect 'exec code' 3 'exit code 3' exec "$pod" -- sh -c 'exit 3'
expect 'exec unknown' 127 'nonsense: not found' exec "$pod" -- nonsense
expect 'delete pod' 0 "pod \"$pod\" deleted" delete pod "$pod" --timeout=30s
expect 'gone' 1 'NotFound' get pod "$pod"
expect 'delete at once' 0 'force deleted|deleted' delete pod -l app=web --grace-period=0 --force
expect 'back' 0 'successfully rolled out' rollout status deployment/web --timeout=50s
expect 'run' 0 'pod/lone created' run lone --image=busybox --restart=Never
expect 'wait' 0 'condition met' wait --for=condition=Ready pod/lone --timeout=30s
expect 'watch' 0 'lone' get pods --watch --request-timeout=2s -l run=lone
expect 'config map' 0 'created' create configmap settings --from-literal=a=b
expect 'create job' 0 'created' create job once --image=busybox
expect 'delete config map' 0 'deleted' delete configmap settings
expect 'create namespace' 0 'created' create namespace scratch
expect 'delete namespace' 0 'deleted' delete namespace scratch --timeout=40s
expect 'create in nowhere' 1 'namespaces "nowhere" not found' create configmap x -n nowhere

cat >"$place/web.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: applied}
data: {a: "1"}
YAML
expect 'apply' 0 'configmap/applied created' apply -f "$place/web.yaml"
sed -i 's/"1"/"2"/' "$place/web.yaml"
expect 'apply a change' 0 'configmap/applied configured' apply -f "$place/web.yaml"
expect 'apply nothing new' 0 'configmap/applied unchanged' apply -f "$place/web.yaml"
expect 'apply on the server' 1 'conflict with "kubectl-client-side-apply"' apply --server-side --field-manager=me -f \
    <(sed 's/"2"/"3"/' "$place/web.yaml")
expect 'apply by force' 0 'serverside-applied' apply --server-side --field-manager=me --force-conflicts -f "$place/web.yaml"
sed -i 's/^data/dada/' "$place/web.yaml"
expect 'apply what there is not' 1 'unknown field "dada"' apply -f "$place/web.yaml"
expect 'explain' 0 'FIELD: replicas <integer>' explain deployment.spec.replicas
expect 'storage' 0 'Bound' get persistentvolumeclaims -A
expect 'roles' 0 'cluster-admin' get clusterroles

# What listens in a pod answers; where nothing listens, the connection ends.
pod=$(ask get pods -n kube-system -l app.kubernetes.io/name=coredns -o 'jsonpath={.items[0].metadata.name}')
open=$(ask get pod "$pod" -n kube-system -o 'jsonpath={.spec.containers[0].ports[0].containerPort}')
forward() { # forward PORT: what a request through a forwarded port is answered
    local said pid port=
    timeout 30 "$kubectl" --cache-dir "$place/kubectl" port-forward -n kube-system "pod/$pod" ":$1" >"$place/forward" 2>&1 &
    pid=$!
    for _ in {1..100}; do
        port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\).*/\1/p' "$place/forward")
        [[ -n $port ]] && break
        sleep 0.1
    done
    said=$(exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n' >&3 && timeout 10 cat <&3)
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    echo "$said"
    cat "$place/forward"
}
for case in "$open:pod $pod on port $open" '9:connection refused'; do
    if forward "${case%%:*}" | grep -q "${case#*:}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED port-forward %s\n%s\n' "$case" "$(cat "$place/forward")"
    fi
done

set=$(ask get statefulsets -A -o 'jsonpath={.items[0].metadata.namespace}/{.items[0].metadata.name}')
expect 'restart a stateful set' 0 'restarted' rollout restart "statefulset/${set#*/}" -n "${set%/*}"
expect 'revisions' 0 '^4 ' rollout history "statefulset/${set#*/}" -n "${set%/*}"
expect 'restarted in order' 0 'complete|rolling update' rollout status "statefulset/${set#*/}" -n "${set%/*}" --timeout=60s
expect 'restart a daemon set' 0 'restarted' rollout restart daemonset/kube-proxy -n kube-system

node=$(ask get nodes -l eks.amazonaws.com/nodegroup=general-od -o 'jsonpath={.items[0].metadata.name}')
expect 'describe node' 0 'Non-terminated Pods' describe node "$node"
expect 'taint' 0 'tainted' taint node "$node" maintenance=yes:PreferNoSchedule
expect 'untaint' 0 'untainted' taint node "$node" maintenance-
expect 'label node' 0 'labeled' label node "$node" rack=7
expect 'cordon' 0 'cordoned' cordon "$node"
expect 'cordoned' 0 'SchedulingDisabled' get node "$node"
# Whether budgets let all pods go depends on what else is wrong with their workloads.
expect 'drain' any 'pod/.* evicted' drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout=20s
expect 'drain whatever the budgets' 0 'drained' drain "$node" --ignore-daemonsets --delete-emptydir-data --force \
    --disable-eviction --timeout=50s
expect 'drained' 0 'DaemonSet' get pods -A --field-selector "spec.nodeName=$node" -o 'jsonpath={.items[*].metadata.ownerReferences[0].kind}'
expect 'uncordon' 0 'uncordoned' uncordon "$node"
expect 'uncordoned' 0 ' Ready ' get node "$node"
expect 'delete deployment' 0 'deleted' delete deployment web

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
