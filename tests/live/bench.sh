#!/usr/bin/env bash
# Measures the explorer on a real API server against curl: `bench.sh` with 10,000 pods, as CI does, also through a slow
# link; `bench.sh --nodes 5000 --pods 100000` by hand (two minutes to seed, 9 GB of memory).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
size=("$@")
[ $# -gt 0 ] || size=(--nodes 500 --pods 10000)

if ! command -v go >/dev/null; then
    echo "live benchmark skipped: Go is not installed, so no API server can be built"
    exit 0
fi
"$here/rig.sh" build
cargo bench --locked --bench explorer --no-run
dir=$(mktemp -d)
stop() {
    "$here/rig.sh" stop "$dir" >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
"$here/rig.sh" start "$dir" --bare --die-with $$
"$here/rig.sh" seed "$dir" bulk "${size[@]}" --realistic
cargo bench --locked --bench explorer -- --kubeconfig "$dir/kubeconfig"
[ $# -gt 0 ] || cargo bench --locked --bench explorer -- --kubeconfig "$dir/kubeconfig" --slow
