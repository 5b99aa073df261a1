"""The stateful proxy of RFC 3261 §16: rules, forwarding, forking and the response context."""

from sipcore.proxy.best_response import best_response, merge_challenges
from sipcore.proxy.forward import forwarded_request
from sipcore.proxy.header_rules import take_out
from sipcore.proxy.host import ProxyHost
from sipcore.proxy.purpose import JUST_FORWARD, OfLine, Purpose
from sipcore.proxy.response_context import ResponseContext, forward
from sipcore.proxy.rules import OwnRoute, loop_hash, refusal, strip_own_maddr, take_own_routes
from sipcore.proxy.session_timer import (
    REFRESH_METHODS,
    SessionPolicy,
    SessionRequest,
    ask_for_timer,
    check_interval,
    session_interval,
    too_short,
)
from sipcore.proxy.trust import Trust

__all__ = [
    "JUST_FORWARD",
    "REFRESH_METHODS",
    "OfLine",
    "OwnRoute",
    "ProxyHost",
    "Purpose",
    "ResponseContext",
    "SessionPolicy",
    "SessionRequest",
    "Trust",
    "ask_for_timer",
    "best_response",
    "check_interval",
    "forward",
    "forwarded_request",
    "loop_hash",
    "merge_challenges",
    "refusal",
    "session_interval",
    "strip_own_maddr",
    "take_out",
    "take_own_routes",
    "too_short",
]
