"""One process for each node name on this machine: a second one would take the first one's files.

No Django here: the daemon takes the lock before it reads anything.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO


def lock_node(folder: Path, node: str) -> TextIO:
    """Hold this name until the file is closed, or the process is over, however it ends.

    Ends the program with a sentence where another process holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (folder / f"sipd-{node}.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        process = file.read().strip() or "unknown"
        file.close()
        raise SystemExit(
            f"{node} is running already (process {process}): stop that one, or give this one "
            "another VOIP_NODE."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
