"""Lists that cannot be read are shown as such; they do not take the whole page down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError

T = TypeVar("T")
logger = logging.getLogger(__name__)


def or_none(read: Callable[[], T]) -> T | None:
    """What `read` returns, or None when its database does not answer."""
    try:
        return read()
    except DatabaseError:
        logger.exception("A list could not be read")
        return None
