"""Django's file cache with an atomic `add`, so that rate limits hold across web processes.

allauth counts under a lock made with `cache.add`. Django's file cache implements `add` as "look,
then write", which two gunicorn workers can both pass; here a file lock closes that gap.
"""

from __future__ import annotations

import fcntl
import os
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.filebased import FileBasedCache

STRIPES = 64
"""Lock files. Keys share them, so their number stays small."""
LOOK_EVERY = 200
"""One write in this many looks for expired entries: listing the folder costs time."""


class SharedFileCache(FileBasedCache):
    """A cache in a folder, for all processes of one machine."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(location, params)
        self._folder = Path(location).absolute()

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        with self._locked(self.make_key(key, version)):
            return super().add(key, value, timeout, version)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stripe = zlib.crc32(key.encode()) % STRIPES
        descriptor = os.open(self._folder / f"{stripe}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _cull(self) -> None:
        """Drop what has expired, now and then; the parent would drop live rate limits at random."""
        if random.randrange(LOOK_EVERY):  # noqa: S311 - no secret depends on it
            return
        for path in self._folder.glob(f"*{self.cache_suffix}"):
            try:
                with path.open("rb") as entry:
                    self._is_expired(entry)  # type: ignore[attr-defined]  # deletes it when it is
            except FileNotFoundError:
                continue
