"""A SQLite file that was made once is never replaced by an empty one.

SQLite makes a file that is not there, and goes on writing to one that was removed. So a file beside the
database (`portal.sqlite3.made`) says that there was one: while that is there and the database is not, nobody
can use it, and each program says so. No Django here: the daemon looks as well.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode."""


def identity(path: str | Path) -> Identity | None:
    """Which file it is; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check(path: str | Path) -> None:
    """Raise sqlite3.OperationalError where the database was there once and is gone."""
    sign = sign_of(path)
    if identity(path) is None and sign.exists():
        raise sqlite3.OperationalError(
            f"{path} is gone: restore it from a backup. To begin with an empty one remove {sign}"
        )


def note(path: str | Path) -> None:
    """Say beside the database that it is there."""
    sign_of(path).touch(mode=0o600)


def sign_of(path: str | Path) -> Path:
    """The file beside a database that says it was made."""
    return Path(f"{path}.made")
