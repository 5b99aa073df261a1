#!/bin/sh
# with_var.sh COMMAND…   run it with a state folder of its own, removed afterwards
set -eu
VOIP_VAR=$(mktemp -d)
export VOIP_VAR
trap 'rm -rf "$VOIP_VAR"' EXIT
trap 'exit 130' INT TERM
"$@"
