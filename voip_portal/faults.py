"""What an operator's day brings, in one sentence: a database that is away, a disk that is full.

No Django here: daemon, shipper and the rest use it whether that is loaded or not.
"""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_DISK: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "this user's quota of the disk is used up",
    errno.EROFS: "the volume is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOTDIR: "there is a file in place of a folder",
}
_AWAY: Final = frozenset({"OperationalError", "InterfaceError"})
"""Of sqlite3, psycopg and Django alike."""


def in_a_sentence(error: BaseException) -> str:
    """What is wrong and what to do; "" where it is none of these faults, but one of ours."""
    found: BaseException | None = error
    while found is not None:
        sentence = _sentence(found)
        if sentence:
            return sentence
        found = found.__cause__ or found.__context__
    return ""


def _sentence(error: BaseException) -> str:
    kind, module = type(error).__name__, type(error).__module__.partition(".")[0]
    said = first_line(error)
    if isinstance(error, OSError) and error.errno in _DISK and error.filename is not None:
        return f"{error.filename} cannot be written: {_DISK[error.errno]}."
    if module in ("sqlite3", "psycopg", "django"):
        if kind in _AWAY:
            return f"The database cannot be used ({said}). See that it runs, and DATABASE_URL."
        if kind == "ProgrammingError" and "connection option" in said:
            return f"DATABASE_URL: {said}."
    if module == "redis" and kind in ("ConnectionError", "TimeoutError", "AuthenticationError"):
        return f"Redis cannot be reached ({said}). See that it runs, and REDIS_URL."
    return ""


def first_line(error: BaseException) -> str:
    """What a driver says, without the hints that follow."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removesuffix(".") if lines else type(error).__name__


class Plainly(logging.Filter):
    """A traceback of one of these faults gives way to its sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        error = record.exc_info[1] if record.exc_info else None
        sentence = in_a_sentence(error) if error is not None else ""
        if sentence:
            record.msg, record.args = f"{record.getMessage()}: {sentence}", ()
            record.exc_info = record.exc_text = None
        return True


@contextmanager
def said_plainly() -> Iterator[None]:
    """End the program with a sentence instead of a traceback where one of these faults ends it."""
    try:
        yield
    except Exception as error:
        sentence = in_a_sentence(error)
        if not sentence:
            raise
        sys.exit(sentence)
