"""Where the compiled sipcore lies, and whether it is the source's.

`make compile` makes it. An edited source is never run as it was compiled before: the daemon then
takes the source, which does the same in more time.
"""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path

FOLDER = Path("build/compiled")
"""Below the project's root; put in front of Python's path, it is `sipcore`."""
FINGERPRINT = "fingerprint"


def fingerprint(root: Path) -> str:
    """What the compiled modules depend on: every line of sipcore, and the Python they are for."""
    digest = hashlib.sha256(str(sysconfig.get_config_var("SOABI")).encode())
    folder = root / "sipcore"
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.c")]):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(root: Path) -> bool:
    """Whether the compiled modules were made from the source that is here."""
    try:
        made_from = (root / FOLDER / FINGERPRINT).read_text()
    except OSError:
        return False
    return made_from == fingerprint(root)
