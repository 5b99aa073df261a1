"""A supervisor over small children, run as a process of its own: `python dummies.py FOLDER NAME…`.

Each child writes its process number to `<name>.pid` and `<name>.health`, then does what its name says.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from voip_portal.supervisor import child as supervision
from voip_portal.supervisor.child import Child, ChildSpec
from voip_portal.supervisor.health import file_appears
from voip_portal.supervisor.supervisor import Supervisor

PROLOGUE = """
import os, signal, subprocess, sys, time
from pathlib import Path
name = sys.argv[1]
def write(suffix, text):
    path = Path(name + suffix)
    Path(name + ".new").write_text(text)
    os.replace(name + ".new", path)
"""
READY = """
write(".pid", str(os.getpid()))
write(".health", "")
"""
KINDS = {
    "good": PROLOGUE + READY + "signal.pause()",
    "deaf": PROLOGUE + "signal.signal(signal.SIGTERM, signal.SIG_IGN)" + READY + "signal.pause()",
    "broken": PROLOGUE + "print('ERROR no such table', flush=True); sys.exit(3)",
    "hanging": PROLOGUE
    + "first = not os.path.exists('hanging.pid')"
    + READY
    + "time.sleep(0.5)\nif first: os.unlink('hanging.health')\nsignal.pause()",
    "family": PROLOGUE
    + "grandchild = subprocess.Popen(['sleep', '600'])\n"
    + "write('.grandchild', str(grandchild.pid))"
    + READY
    + "signal.pause()",
}


def child(folder: Path, name: str) -> Child:
    health = folder / f"{name}.health"
    argv = (sys.executable, "-c", KINDS[name], name)
    # What hangs removes the file again, and nobody else does while it runs.
    spec = ChildSpec(name, argv, file_appears(health), health, file_appears(health))
    return Child(spec, folder, os.environ, folder)


def main(folder: Path, names: list[str]) -> int:
    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    supervision.HUNG_AFTER_S, supervision.ALIVE_EVERY_S = 1.0, 0.1
    children = [child(folder, name) for name in names]
    return Supervisor(children, say=say, on_ready=lambda: say("Ready.")).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
