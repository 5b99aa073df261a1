"""What an operator's day brings is said in a sentence; what is our fault keeps its traceback."""

from __future__ import annotations

import errno
import io
import logging
import os
import sqlite3

import psycopg
import pytest
import redis
from django.db import utils

from voip_portal.faults import Plainly, in_a_sentence, said_plainly

LONG = 'connection failed: FATAL:  password authentication failed for user "voip"\nHINT: look\n'


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/x"),
            "/srv/x cannot be written: the disk is full.",
        ),
        (
            OSError(errno.EROFS, os.strerror(errno.EROFS), "/srv/x"),
            "/srv/x cannot be written: the volume is read-only.",
        ),
        (
            psycopg.OperationalError(LONG),
            "The database cannot be used (connection failed: FATAL:  password authentication failed"
            ' for user "voip"). See that it runs, and DATABASE_URL.',
        ),
        (
            utils.OperationalError("unable to open database file"),
            "The database cannot be used (unable to open database file)."
            " See that it runs, and DATABASE_URL.",
        ),
        (
            sqlite3.OperationalError("disk I/O error"),
            "The database cannot be used (disk I/O error). See that it runs, and DATABASE_URL.",
        ),
        (
            psycopg.ProgrammingError('invalid connection option "sslmod"'),
            'DATABASE_URL: invalid connection option "sslmod".',
        ),
        (
            redis.exceptions.ConnectionError("Error 111 connecting to redis:6379."),
            "Redis cannot be reached (Error 111 connecting to redis:6379)."
            " See that it runs, and REDIS_URL.",
        ),
        (ValueError("a fault of ours"), ""),
        (FileNotFoundError(errno.ENOENT, "No such file", "/srv/x"), ""),
    ],
)
def test_a_fault_of_the_surroundings_is_a_sentence(error: Exception, sentence: str) -> None:
    assert in_a_sentence(error) == sentence


def test_what_lies_behind_another_error_is_found() -> None:
    behind = RuntimeError("cannot go on")
    behind.__cause__ = OSError(errno.ENOSPC, "No space", "/x")
    with pytest.raises(SystemExit, match="the disk is full"), said_plainly():
        raise behind


def test_our_own_fault_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), said_plainly():
        1 / 0  # noqa: B018


def logged(error: Exception) -> str:
    """What a handler with the filter writes of an error with its traceback."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(Plainly())
    logger = logging.getLogger(f"test.{type(error).__name__}")
    logger.addHandler(handler)
    try:
        raise error
    except Exception:
        logger.exception("page %s failed", "/x")
    return out.getvalue()


def test_a_fault_of_the_surroundings_is_one_line_in_the_log() -> None:
    assert logged(OSError(errno.EROFS, "Read-only", "/srv/x")) == (
        "page /x failed: /srv/x cannot be written: the volume is read-only.\n"
    )


def test_a_fault_of_ours_keeps_its_traceback_in_the_log() -> None:
    assert "Traceback" in logged(KeyError("x"))
