"""Count the tests that `make test PEERS=0` left out."""

from __future__ import annotations

import subprocess
import sys

from programs import PROGRAMS

QUICK = "not bench and not long"
LEFT_OUT = (f"(peers or interop) and {QUICK}", f"sql and not peers and {QUICK}")
"""What needs a program; what would have run on PostgreSQL too."""


def count(expression: str) -> int:
    """How many tests have such markers."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-m", expression],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 5):  # 5: there are none
        sys.exit(done.stdout + done.stderr)
    lines = [line.rpartition(": ") for line in done.stdout.splitlines()]
    return sum(int(number) for path, _, number in lines if path.endswith(".py"))


if __name__ == "__main__":
    number = sum(map(count, LEFT_OUT))
    print(f"NOT RUN: {number} tests ({', '.join(p.command for p in PROGRAMS)})")
