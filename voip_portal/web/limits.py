"""What one connection, one address and all together may take of a web process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Of one process; there are two of them as a rule (`gunicorn_conf.workers`)."""

    connections: int = 512
    """In all; fewer where the system allows few open files (`within_files`)."""
    connections_per_source: int = 64
    """Of an IPv4 address or an IPv6 /64. A browser opens six; those of a NAT share it, and lose idle ones."""
    header_bytes: int = 32 * 1024
    """Of a request's first line and headers. Browsers send 1 to 2 KB, cookies of other sites of the
    same domain up to 16."""
    body_bytes: int = 1024 * 1024
    """Of one request. No page takes a file; a form of 1,000 fields (Django's bound) has 100 KB."""
    bodies_bytes: int = 64 * 1024 * 1024
    """Of all bodies that are not complete: beyond, the largest is dropped."""
    body_memory_bytes: int = 64 * 1024
    """Of one body; more of it is a temporary file."""
    answers_bytes: int = 256 * 1024 * 1024
    """Of all answers that wait for being taken, in temporary files: no thread waits for a slow taker.
    Beyond, the largest is dropped."""
    answer_memory_bytes: int = 256 * 1024
    """Of one answer; more of it is a temporary file."""
    header_within_s: float = 10.0
    """From the first byte of a request, or the connection, to the last header."""
    idle_s: float = 15.0
    """A connection without a request: long enough for the next click of who looks for a link."""
    body_within_s: float = 20.0
    """From the first byte to the whole request, and a second more for each `body_bytes_per_s`."""
    body_bytes_per_s: int = 2048
    """Half of what the slowest mobile networks (GPRS) send."""
    taken_bytes_per_s: int = 1024
    """Whoever takes an answer slower than this is cut off. Only answers larger than the kernel's
    buffers (some 100 KB) wait here at all."""
    taken_looked_at_every_s: float = 30.0
    """Over such an interval; phones stand in lifts for less."""
    stop_within_s: float = 5.0
    """For what is being served when the process is told to stop."""


LIMITS: Final = WebLimits()


def within_files(limits: WebLimits, files: int | None) -> WebLimits:
    """As many connections as a third of the open files.

    Each may have two, its socket and its body or answer; the last third is for the database, templates and health.
    """
    if files is None:
        return limits
    return replace(limits, connections=max(1, min(limits.connections, files // 3)))


NO_PAGE_S: Final = 20
"""A web process that has not served anything, nor could have, for so many seconds is replaced.

Longer than any page takes; a write lock of SQLite is waited for as long, but not by all threads at once.
"""
