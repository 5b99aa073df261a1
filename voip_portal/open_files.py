"""How many files a process may have open; sockets are files, too."""

from __future__ import annotations

import resource
from contextlib import suppress


def raise_limit() -> int | None:
    """Have this process open as many as it is allowed to ask for; None: without end."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if files == resource.RLIM_INFINITY else files
