"""Session intervals that are too short (RFC 4028 §8.1)."""

from __future__ import annotations

from sipcore.apps.host import Host
from sipcore.message import Request
from sipcore.proxy import too_short
from sipcore.transaction import ServerTransaction


def refused_session(host: Host, tx: ServerTransaction, request: Request, now: float) -> bool:
    """Whether an INVITE or UPDATE was refused for its session interval."""
    policy = host.config.sessions
    if not too_short(request, policy):
        return False
    headers = [("Min-SE", str(policy.min_s))]
    tx.respond(request.respond(422, to_tag=host.new_tag(), headers=headers), now)
    return True
