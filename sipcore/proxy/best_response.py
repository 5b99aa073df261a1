"""Choosing among the final responses of a fork (RFC 3261 §16.7). Only choice, no bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sipcore.message import Response

_PREFERENCE: Final = {401: 0, 407: 0, 415: 1, 420: 1, 484: 1, 486: 2, 408: 4, 430: 4, 503: 4}
"""Responses that tell the caller how to try again come first in their class (§16.7 step 6); then
busy, which says more than one of several phones not being there; a time-out says least, and so do
the overload of one branch and a flow that is gone."""
_CHALLENGES: Final = ("www-authenticate", "proxy-authenticate")


def best_response(finals: Sequence[Response]) -> Response:
    """The final response to forward when no branch gave a 2xx."""
    return min(finals, key=_rank)


def _rank(response: Response) -> tuple[int, int]:
    status = response.status
    if status >= 600:
        return (0, 0)
    return (status // 100, _PREFERENCE.get(status, 3))


def merge_challenges(best: Response, finals: Sequence[Response]) -> None:
    """Give a forwarded 401 or 407 the challenges of all branches (§16.7 step 7)."""
    if best.status not in (401, 407):
        return
    for other in finals:
        if other is best or other.status not in (401, 407):
            continue
        for key, name in zip(_CHALLENGES, ("WWW-Authenticate", "Proxy-Authenticate"), strict=True):
            for row in other.rows(key):
                best.append(name, row)
