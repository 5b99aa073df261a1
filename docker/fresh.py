"""Health check of a process that says itself that it lives: `fresh.py NAME SECONDS`.

Exits 0 when it has written `run/NAME.health` within so many seconds.
"""

import os
import sys
import time
from pathlib import Path

path = Path(os.environ["VOIP_VAR"]) / "run" / f"{sys.argv[1]}.health"
sys.exit(0 if path.exists() and time.time() - path.stat().st_mtime < float(sys.argv[2]) else 1)
