#!/bin/sh
# What `make test` runs once all programs and packages are there.
set -eu
bin=.venv/bin
quick="not bench and not long"

check() {
    echo "== Style, imports, Django's checks"
    sh scripts/lint.sh
    echo "== Types"
    $bin/mypy sipcore tests/sipcore voip_portal/supervisor
}

if [ "$PEERS" = 0 ]; then
    check
    echo "== Tests that need no other program, on SQLite"
    sh scripts/with_var.sh $bin/pytest -q -n 2 -m "$quick and not peers and not interop"
    exec sh scripts/with_var.sh $bin/python scripts/not_run.py
fi
# Compiling takes one core for some minutes: the other one has enough to do.
work=$(mktemp -d)
setsid $bin/python scripts/compile.py >"$work/compiling" 2>&1 &
compiling=$!
trap 'kill -- -$compiling 2>/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
check
# What asks no SIP server fills the other core until the compiler is done.
apart=""
for app in accounts api calls changes hours lines numbers peers; do
    apart="$apart tests/voip_portal/$app"
done
echo "== sipcore as source, and what asks no SIP server, while it is being compiled"
SIM_SEEDS=20 CONFORMANCE_REPORT="$work/sipcore.json" \
    sh scripts/with_var.sh $bin/pytest -q -n 1 -m "$quick" tests/sipcore $apart
echo "== sipcore compiled: the same tests once more; all that follows runs on it"
wait $compiling || { cat "$work/compiling"; exit 1; }
# All of the random runs here, where they take half the time.
SIM_SEEDS=200 SIPCORE=compiled $bin/pytest -q -n 2 -o pythonpath="build/compiled ." \
    -m "$quick and not source" tests/sipcore
echo "== All other tests, on SQLite"
CONFORMANCE_REPORT="$work/others.json" \
    sh scripts/with_var.sh $bin/pytest -q -n 2 -m "$quick" --ignore=tests/sipcore $(for folder in $apart; do echo "--ignore=$folder"; done)
$bin/python scripts/conformance.py --check "$work/sipcore.json" "$work/others.json"
echo "== Tests that touch SQL, on PostgreSQL"
sh scripts/with_var.sh $bin/python -m tests.support.postgresql -- \
    $bin/pytest -q -n 2 -m "$quick and sql and not peers"
