"""A cache that goes on without its store: rate limits count in each process while that is away.

What Django's cache framework is here for is counting tries. Where Redis, or the disk, cannot be used,
each process counts for itself: with two web processes a limit is twice as wide, and nobody is refused
for our fault. The store is asked again every few seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.utils.module_loading import import_string

from voip_portal.faults import first_line, in_a_sentence

log = logging.getLogger("voip_portal.cache")

AGAIN_AFTER_S: Final = 5.0
"""How long a store that failed is left alone: a page must not wait for it each time."""
MOST_ENTRIES: Final = 20_000
"""entries: of the process's own cache; a count is one."""


class SteadyCache(BaseCache):
    """Django's cache BACKEND in OPTIONS, and the process's own memory in its place."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS", {}))
        backend = import_string(options.pop("BACKEND"))
        self._store: BaseCache = backend(location, {**params, "OPTIONS": options})
        self._own = LocMemCache("steady", {"OPTIONS": {"MAX_ENTRIES": MOST_ENTRIES}})

    def problem(self) -> str:
        """Why the store is not used, in a sentence; "" while it is. Looks, if it is time to."""
        self._do(lambda cache: cache.get("problem"))
        return _state.why

    def _do(self, ask: Callable[[BaseCache], Any]) -> Any:
        if time.monotonic() >= _state.again_at:
            try:
                answer = ask(self._store)
            except Exception as error:
                why = in_a_sentence(error)
                if not why and not isinstance(error, OSError):
                    raise
                _state.away(why or f"The cache cannot be used ({first_line(error)}).")
            else:
                _state.back()
                return answer
        return ask(self._own)

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,  # type: ignore[assignment]
        version: int | None = None,
    ) -> bool:
        return bool(self._do(lambda cache: cache.add(key, value, timeout, version)))

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self._do(lambda cache: cache.get(key, default, version))

    def set(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,  # type: ignore[assignment]
        version: int | None = None,
    ) -> None:
        self._do(lambda cache: cache.set(key, value, timeout, version))

    def touch(
        self,
        key: str,
        timeout: float | None = DEFAULT_TIMEOUT,  # type: ignore[assignment]
        version: int | None = None,
    ) -> bool:
        return bool(self._do(lambda cache: cache.touch(key, timeout, version)))

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.delete(key, version)))

    def clear(self) -> None:
        self._do(lambda cache: cache.clear())

    def close(self, **kwargs: Any) -> None:
        self._store.close(**kwargs)


def problem() -> str:
    """Why the store of rate limits is not used, in a sentence; "" while it is."""
    ask: Callable[[], str] | None = getattr(caches["default"], "problem", None)
    return "" if ask is None else ask()  # a deployment may have named another BACKEND


class _State:
    """Whether the store is away: of the process, for Django makes a cache for each thread."""

    def __init__(self) -> None:
        self.again_at = 0.0
        self.why = ""

    def away(self, why: str) -> None:
        self.again_at = time.monotonic() + AGAIN_AFTER_S
        if why != self.why:
            log.error("rate limits count in each process alone: %s", why)
        self.why = why

    def back(self) -> None:
        if self.why:
            self.why = ""
            log.warning("the store of rate limits is back")


_state = _State()
