#!/bin/sh
# Run the tests that name lines of the checklist, and write what they prove.
set -eu
CONFORMANCE_REPORT=$(mktemp)
export CONFORMANCE_REPORT
trap 'rm -f "$CONFORMANCE_REPORT"' EXIT
sh scripts/with_var.sh .venv/bin/pytest -q -n 2 -m "rfc and not bench and not long"
.venv/bin/python scripts/conformance.py "$CONFORMANCE_REPORT"
