#!/usr/bin/env bash
# Runs the tests that need moto's server and the AWS CLI, both from PyPI in a virtual environment of their own. Without
# Python it says that they were skipped; with --required that is a failure. `moto.sh venv` only installs, and prints where.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
required=${1:-}
pins="moto[server,eks,ec2,autoscaling,sts,iam,ssm]==5.2.1 boto3==1.44.5 awscli==1.46.3"

if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "AWS tests skipped: there is no Python with venv, so moto cannot be installed"
    [ "$required" != --required ] || exit 1
    exit 0
fi
venv=${XDG_CACHE_HOME:-$HOME/.cache}/ekscope-moto/$(cksum <<<"$pins" | cut -d' ' -f1)
if [ ! -e "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    # shellcheck disable=SC2086 # one word each
    "$venv/bin/pip" install --quiet --disable-pip-version-check $pins >&2
    touch "$venv/ready"
fi
if [ "$required" = venv ]; then
    echo "$venv"
    exit 0
fi
# A test that finds no moto now fails.
export EKSCOPE_MOTO_REQUIRED=1
export EKSCOPE_MOTO_VENV=$venv
cargo test --locked --test aws_moto --test aws_groups --test aws_demo -- --nocapture
