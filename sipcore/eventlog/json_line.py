"""One JSON object on one line, as spool and journal keep them: written far more often than read."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

_slow: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def json_line(row: dict[str, Any]) -> bytes:
    """The object as UTF-8, with its newline. Tuples with names are arrays like all others.

    Text that holds bytes which were no UTF-8 (lone surrogates) is escaped, and read back the same.
    """
    try:
        return orjson.dumps(row, tuple, orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # lone surrogates, whole numbers beyond 64 bits
        return _slow(row).encode("ascii") + b"\n"
