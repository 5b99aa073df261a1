"""`make bench`: CPU per operation beside Kamailio, alternating, the median of three.

Runs `run.py` with our daemon and with Kamailio in turns at equal offered rates and prints, last, one
line of JSON: our CPU per operation divided by Kamailio's, and our memory with all users registered.
`BENCH_ROUNDS`, `BENCH_USERS` and `BENCH_SHORT=1` make it shorter; the full run takes about half an hour.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
PHASES = ("refresh", "call", "message")
PEERS = ("sipd", "kamailio")


def main() -> int:
    """Run the rounds and print the table and the last line."""
    missing = [name for name in ("sipp", "kamailio") if shutil.which(name) is None]
    if missing:
        print(f"Missing: {', '.join(missing)}. Run: apt-get install -y sip-tester kamailio"
              " kamailio-sqlite-modules sqlite3")
        return 2
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in PEERS}
    for number in range(rounds):
        for name in PEERS:
            print(f"--- round {number + 1} of {rounds}: {name}", flush=True)
            results[name].append(run(name))
    report(results)
    return 0


def run(name: str) -> dict[str, Any]:
    """One run of one server; its results by phase."""
    before = set(HERE.glob("results/*.json"))
    arguments = [sys.executable, str(HERE / "run.py"), name]
    arguments += ["--phases", "check,register,refresh,message,call"]
    arguments += ["--users", os.environ.get("BENCH_USERS", "30000")]
    if os.environ.get("BENCH_SHORT"):
        arguments += ["--refresh", "4000", "--messages", "2400", "--calls", "1500"]
    subprocess.run(arguments, check=True, cwd=HERE)
    [result] = set(HERE.glob("results/*.json")) - before
    found: dict[str, Any] = json.loads(result.read_text())
    phases: dict[str, Any] = found["phases"]
    return phases


def cost(runs: list[dict[str, Any]], phase: str) -> float:
    """Median CPU milliseconds per operation, storage that came later included."""
    values = []
    for run_of in runs:
        row = run_of[phase]
        values.append(row.get("cpu_ms_per_op_incl_settle", row["cpu_ms_per_op"]))
    return median(values)


def report(results: dict[str, list[dict[str, Any]]]) -> None:
    """A table for people, then one line for programs."""
    print("\n| operation | ours ms | Kamailio ms | ratio | failed (ours) | beside: web, shipper, Celery ms |")
    print("|---|---|---|---|---|---|")
    last: dict[str, float] = {}
    for phase in PHASES:
        ours, theirs = cost(results["sipd"], phase), cost(results["kamailio"], phase)
        failed = sum(r[phase]["failed"] for r in results["sipd"])
        beside = median(r[phase]["beside_ms_per_op"] for r in results["sipd"])
        ratio = ours / theirs
        print(f"| {phase} | {ours:.3f} | {theirs:.3f} | {ratio:.2f} | {failed} | {beside:.3f} |")
        last[f"{phase}_ratio"] = round(ours / theirs, 2)
    last["pss_mb_30k"] = median(r["register"]["after"]["pss_mb"] for r in results["sipd"])
    print(json.dumps(last))


if __name__ == "__main__":
    sys.exit(main())
