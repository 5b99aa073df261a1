"""What a decision says: a value that the proxy walks and the simulator explains."""

from __future__ import annotations

from dataclasses import dataclass

from sipcore.directory import Account
from sipcore.transport.flow import Flow


@dataclass(slots=True, frozen=True)
class Target:
    """One place to send the request to."""

    uri_text: str
    """The Request-URI of the branch."""
    flow: Flow | None = None
    """Where the contact registered from, when it cannot be reached as written."""
    path: tuple[str, ...] = ()
    """Route values of the branch (RFC 3327)."""
    line_id: int | None = None


@dataclass(slots=True, frozen=True)
class Group:
    """Targets tried at the same time; the next group follows when all of them failed."""

    targets: tuple[Target, ...]
    ring_s: float | None = None
    """Go on to the next group after so many seconds without an answer; None: no limit of ours."""


@dataclass(slots=True, frozen=True)
class Fork:
    """Ring phones of an account of ours."""

    callee: Account
    groups: tuple[Group, ...]
    trace: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Relay:
    """Send on to a foreign domain."""

    target: Target
    trace: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Service:
    """One of our own services answers, such as `echo`."""

    name: str
    trace: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Refuse:
    """Answer with a failure. `reason` is a Reason header value or empty."""

    status: int
    phrase: str = ""
    reason: str = ""
    callee: Account | None = None
    trace: tuple[str, ...] = ()


Plan = Fork | Relay | Service | Refuse
