#!/bin/sh
# What `make test` runs once all programs and packages are there.
set -eu
bin=.venv/bin
quick="not bench and not long"

echo "== Style, imports, Django's checks"
sh scripts/lint.sh
echo "== Types"
$bin/mypy sipcore tests/sipcore voip_portal/supervisor

if [ "$PEERS" = 0 ]; then
    echo "== Tests that need no other program, on SQLite"
    sh scripts/with_var.sh $bin/pytest -q -n 2 -m "$quick and not peers and not interop"
    exec sh scripts/with_var.sh $bin/python scripts/not_run.py
fi
echo "== sipcore compiled: the same tests once more; all that follows runs on it"
$bin/python scripts/compile.py
# All of the random runs here, where they take half the time; some of them again as source.
SIM_SEEDS=200 SIPCORE=compiled $bin/pytest -q -n 2 -m "$quick and not source" tests/sipcore
echo "== Tests, on SQLite"
CONFORMANCE_REPORT=$(mktemp)
export CONFORMANCE_REPORT
export SIM_SEEDS=20
trap "rm -f $CONFORMANCE_REPORT" EXIT
sh scripts/with_var.sh $bin/pytest -q -n 2 -m "$quick"
$bin/python scripts/conformance.py --check "$CONFORMANCE_REPORT"
unset CONFORMANCE_REPORT
echo "== Tests that touch SQL, on PostgreSQL"
sh scripts/with_var.sh $bin/python -m tests.support.postgresql -- \
    $bin/pytest -q -n 2 -m "$quick and sql and not peers"
