"""Session timers as a proxy sees them (RFC 4028 §8): in an INVITE or UPDATE, and in its 2xx.

A call whose ends refresh their session needs no probes, and is over when they stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message import Request, Response
from sipcore.message.grammar import BLANKS, parse_uint
from sipcore.proxy.limits import LEAST_S

REFRESH_METHODS: Final = frozenset({"INVITE", "UPDATE"})


@dataclass(slots=True, frozen=True)
class SessionPolicy:
    """What intervals we want, in seconds."""

    min_s: int = LEAST_S
    """Shorter ones are refused, or raised where refusing would fail the call."""
    ask_for_s: int = 1_800
    """Asked for where the caller can refresh and does not ask; 0: never asked for."""

    def __post_init__(self) -> None:
        if self.min_s < LEAST_S:
            raise ValueError(f"min_s must be {LEAST_S} or more (RFC 4028 §5)")


class SessionRequest:
    """What to remember of a session refresh request until its response (§8.1)."""

    __slots__ = ("interval_s", "uac_refreshes")

    def __init__(self, interval_s: int, uac_refreshes: bool) -> None:
        self.interval_s = interval_s
        """The Session-Expires that was sent on."""
        self.uac_refreshes = uac_refreshes
        """Whether the sender of the request supports the timer."""


def too_short(request: Request, policy: SessionPolicy) -> bool:
    """Whether to refuse with 422 and `Min-SE`: only who supports the timer can try again."""
    if not request.has("session-expires") or "timer" not in request.supported:
        return False
    interval = _seconds(request.first("session-expires"))
    return 0 <= interval < policy.min_s


def check_interval(
    request: Request, policy: SessionPolicy, tag_for: Callable[[Request], str]
) -> Response | None:
    """The 422 to an INVITE or UPDATE whose session interval is too short (§8.1), else None."""
    if not request.has("session-expires") or not too_short(request, policy):
        return None
    return request.respond(422, to_tag=tag_for(request), headers=[("Min-SE", str(policy.min_s))])


def ask_for_timer(request: Request, policy: SessionPolicy) -> SessionRequest | None:
    """Prepare a session refresh request for forwarding (§8.1); None when there is no timer in it.

    Min-SE is not touched where the sender supports the timer, nor is any refresher parameter.
    """
    value = request.first("session-expires")
    if value is None and not request.has("supported"):
        return None
    uac_refreshes = "timer" in request.supported
    least = max(LEAST_S, _seconds(request.first("min-se")))
    if value is None:
        if not uac_refreshes or not policy.ask_for_s:
            return None
        interval = max(policy.ask_for_s, least)
        request.append("Session-Expires", str(interval))
        return SessionRequest(interval, True)
    interval = _seconds(value)
    if interval < 0:
        return None  # nobody can read it
    if not uac_refreshes and interval < policy.min_s and least <= policy.min_s:
        least = policy.min_s
        request.set("Min-SE", str(least))
    if interval < least:
        interval = least
        _, semicolon, parameters = value.partition(";")
        request.set("Session-Expires", f"{interval}{semicolon}{parameters}")
    return SessionRequest(interval, uac_refreshes)


def session_interval(response: Response, asked: SessionRequest | None) -> int:
    """The interval that a 2xx sets, in seconds; 0 where the session never lapses (§8.2).

    When the called side knows no timer and the sender does, the sender is told to refresh.
    """
    if response.has("session-expires"):
        interval = _seconds(response.first("session-expires"))  # it goes on as it came
        return max(LEAST_S, interval) if interval >= 0 else 0
    if asked is None or not asked.uac_refreshes:
        return 0
    response.append("Session-Expires", f"{asked.interval_s};refresher=uac")
    if "timer" not in response.require:
        response.append("Require", "timer")
    return asked.interval_s


def _seconds(value: str | None) -> int:
    """The delta-seconds of Session-Expires or Min-SE; -1 when absent or none."""
    if value is None:
        return -1
    try:
        return parse_uint(value.partition(";")[0].strip(BLANKS), "session-expires")
    except MalformedMessage:
        return -1
