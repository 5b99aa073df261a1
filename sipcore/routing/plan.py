"""What a decision says: a value that the proxy walks and the simulator explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sipcore.directory import Account
from sipcore.transport.flow import Flow

SIPS_NOT_ALLOWED: Final = '380 proxy "SIPS Not Allowed"'
"""The Warning where a sips URI leads to nobody who is reached over TLS (RFC 5630 §5.3)."""


class Target:
    """One place to send the request to."""

    __slots__ = (
        "asked_from",
        "device_id",
        "flow",
        "hop",
        "line_id",
        "other_flows",
        "path",
        "uri_text",
    )

    def __init__(
        self,
        uri_text: str,
        flow: Flow | None = None,
        path: tuple[str, ...] = (),
        line_id: int | None = None,
        hop: str = "",
        device_id: int = 0,
    ) -> None:
        self.uri_text = uri_text
        """The Request-URI of the branch."""
        self.flow = flow
        """Where the contact registered from, when it cannot be reached as written."""
        self.path = path
        """Route values of the branch (RFC 3327)."""
        self.line_id = line_id
        """The account that registered it, None where it is none of ours."""
        self.hop = hop
        """The URI that says where to send, when the Request-URI must not say it (RFC 5630 §5.3)."""
        self.device_id = device_id
        """The device that registered it; 0 where it is none of ours."""
        self.asked_from = ""
        """Where an account sent from that names this place itself; "" where a registration or we do."""
        self.other_flows: tuple[Target, ...] = ()
        """Of the same phone (RFC 5626 §7): the next one, should this one fail."""

    def followed_by(self, others: tuple[Target, ...]) -> Target:
        """This target, with those flows of the same phone behind it."""
        self.other_flows = others
        return self


class Group:
    """Targets tried at the same time; the next group follows when all of them failed."""

    __slots__ = ("ring_s", "targets")

    def __init__(self, targets: tuple[Target, ...], ring_s: float | None = None) -> None:
        self.targets = targets
        self.ring_s = ring_s
        """Go on to the next group after so many seconds without an answer; None: no limit of ours."""


class Fork:
    """Ring phones of an account of ours."""

    __slots__ = ("callee", "groups", "trace")

    def __init__(
        self,
        callee: Account,
        groups: tuple[Group, ...],
        trace: tuple[str, ...] = (),
    ) -> None:
        self.callee = callee
        self.groups = groups
        self.trace = trace


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
    """Answer with a failure. `reason` and `warning` are header values or empty."""

    status: int
    phrase: str = ""
    reason: str = ""
    callee: Account | None = None
    trace: tuple[str, ...] = ()
    warning: str = ""


Plan = Fork | Relay | Service | Refuse
