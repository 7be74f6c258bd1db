#!/usr/bin/env bash
# Builds and starts the rig, seeds it, runs the tests that need it, and stops it. Without Go it says that they were
# skipped; with --required that is a failure.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
required=${1:-}

if ! command -v go >/dev/null; then
    echo "live tests skipped: Go is not installed, so no API server can be built"
    [ "$required" != --required ] || exit 1
    exit 0
fi
"$here/rig.sh" build
"$here/rig.sh" build-karpenter
dir=$(mktemp -d)
stop() {
    "$here/rig.sh" stop "$dir" >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
"$here/rig.sh" start "$dir" --die-with $$
"$here/rig.sh" seed "$dir" cases crds workloads bulk --nodes 300 --pods 3000 metrics

# A test that finds no rig now fails.
export EKSCOPE_RIG_REQUIRED=1
export EKSCOPE_RIG_DIR=$dir
export EKSCOPE_RIG_KUBECONFIG=$dir/kubeconfig
EKSCOPE_RIG_KUBECTL=$("$here/rig.sh" bin)/kubectl
export EKSCOPE_RIG_KUBECTL
tests=()
for file in tests/live_*.rs; do
    tests+=(--test "$(basename "$file" .rs)")
done
cargo test --locked "${tests[@]}" -- --nocapture
