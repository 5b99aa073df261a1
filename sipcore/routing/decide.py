"""The decision: a pure function of the directory, the bindings and the question.

The order of the rules is the order of the code: emergency numbers, foreign domains, our own
services, our users by name or number. Strangers get one and the same answer whether a user is
unknown, suspended or not registered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sipcore.bindings import Binding
from sipcore.directory import Account, AccountState, Directory
from sipcore.message import Uri
from sipcore.routing.plan import Fork, Group, Plan, Refuse, Relay, Service, Target

EMERGENCY_NUMBERS: Final = frozenset({"112", "911", "999", "sos"})
EMERGENCY_TEXT: Final = (
    'SIP;cause=404;text="No emergency calls here: use a mobile phone and dial 112"'
)


class Query:
    """One question to the directory."""

    __slots__ = ("caller", "domain", "explain", "method", "services", "trace", "uri", "uri_text")

    def __init__(
        self,
        method: str,
        uri: Uri,
        uri_text: str,
        domain: str | None,
        caller: Account | None,
        services: frozenset[str] = frozenset(),
        explain: bool = False,
    ) -> None:
        self.method = method
        self.uri = uri
        self.uri_text = uri_text
        self.domain = domain
        """The domain of ours the Request-URI names, None when it is foreign."""
        self.caller = caller
        """The authenticated account, None for a stranger."""
        self.services = services
        """Names that our own services answer to in every domain of ours."""
        self.explain = explain
        self.trace: list[str] = []


def decide(
    directory: Directory, bindings: Callable[[int], Sequence[Binding]], query: Query
) -> Plan:
    """The plan for a request. `bindings` gives an account's live bindings by its id."""
    user = query.uri.user_decoded
    if is_emergency(query.uri):
        return Refuse(404, "No Emergency Calls Here", EMERGENCY_TEXT, None, ("emergency",))
    if query.domain is None:
        return _foreign(query)
    if not user:
        return Refuse(404, "", "", None, ("no user part",))
    if user in query.services:
        return Service(user, (f"service {user}",))
    return _our_user(directory, bindings, query, user)


def is_emergency(uri: Uri) -> bool:
    """Whether the Request-URI asks for an emergency service (RFC 5031 §4.2)."""
    if uri.scheme == "urn":
        return uri.text.lower().startswith("urn:service:sos")
    return uri.user_decoded in EMERGENCY_NUMBERS


def _foreign(query: Query) -> Plan:
    if query.caller is None:
        return Refuse(403, "Relaying Denied", "", None, ("stranger to a foreign domain",))
    if query.uri.scheme not in ("sip", "sips"):
        return Refuse(416, "", "", None, ("scheme not routed here",))
    return Relay(Target(query.uri_text), (f"foreign domain for line {query.caller.id}",))


def _our_user(
    directory: Directory,
    bindings: Callable[[int], Sequence[Binding]],
    query: Query,
    user: str,
) -> Plan:
    assert query.domain is not None
    account = directory.resolve(user, query.domain)
    if account is None:
        return _unavailable(query, 404, None, "no such name or number")
    if account.state is not AccountState.ACTIVE:
        return _unavailable(query, 480, account, "account not active")
    live = bindings(account.id)
    if not live:
        return _unavailable(query, 480, account, "not registered")
    trace = (f"line {account.id}", f"{len(live)} bindings")
    return Fork(account, groups_by_q(live), trace)


def _unavailable(query: Query, status: int, account: Account | None, why: str) -> Refuse:
    if query.caller is None:
        status = 480
    return Refuse(status, "", "", account, (why,))


def groups_by_q(live: Sequence[Binding]) -> tuple[Group, ...]:
    """Bindings of equal q ring together, higher q first (RFC 3261 §16.6)."""
    if len(live) == 1:
        return (Group((_target(live[0]),)),)
    by_q: dict[int, list[Target]] = {}
    for binding in live:
        by_q.setdefault(binding.q, []).append(_target(binding))
    return tuple(Group(tuple(by_q[q])) for q in sorted(by_q, reverse=True))


def _target(binding: Binding) -> Target:
    return Target(binding.contact, binding.flow, binding.path, binding.line_id)
