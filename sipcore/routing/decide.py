"""The decision: a pure function of the directory, the bindings and the question.

The order of the rules is the order of the code: emergency numbers, foreign domains, our own
services, our users by name or number. Strangers get one and the same answer whether a user is
unknown, suspended or not registered.

A tel URI, or a SIP URI with user=phone, is a telephone number: it is looked up as the plan of the
domain has it, without what only helps the eye. A local number is one of the domain that its context
names, a number without context one of the caller's domain (RFC 3966 §5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sipcore.bindings import Binding
from sipcore.directory import Account, AccountState, Directory
from sipcore.locate import is_full_number
from sipcore.message import Uri, is_sips, parse_uri
from sipcore.routing.ask import Ask
from sipcore.routing.plan import (
    SIPS_NOT_ALLOWED,
    Fork,
    Group,
    Plan,
    Refuse,
    Relay,
    Service,
    Target,
)
from sipcore.transport.written import is_mapped

EMERGENCY_NUMBERS: Final = frozenset({"112", "911", "999", "sos"})
EMERGENCY_TEXT: Final = (
    'SIP;cause=404;text="No emergency calls here: use a mobile phone and dial 112"'
)


class Query:
    """One question to the directory."""

    __slots__ = (
        "caller",
        "domain",
        "enum_suffix",
        "explain",
        "is_trusted",
        "method",
        "own_hosts",
        "services",
        "trace",
        "uri",
        "uri_text",
    )

    def __init__(
        self,
        method: str,
        uri: Uri,
        uri_text: str,
        domain: str | None,
        caller: Account | None,
        services: frozenset[str] = frozenset(),
        explain: bool = False,
        is_trusted: bool = False,
        enum_suffix: str = "",
        own_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self.method = method
        self.uri = uri
        self.uri_text = uri_text
        self.domain = domain
        """The domain of ours the Request-URI names, None when it is foreign or a tel URI."""
        self.caller = caller
        """The authenticated account, None for a stranger and for a trusted peer."""
        self.is_trusted = is_trusted
        """Whether a trusted peer asks, whom we send on and tell who is not there."""
        self.services = services
        """Names that our own services answer to in every domain of ours, in lower case."""
        self.own_hosts = own_hosts
        """Hosts, apart from the domains, that phones may have been told as theirs."""
        self.enum_suffix = enum_suffix
        """Below which domain the DNS may be asked for full numbers; "": it is not asked."""
        self.explain = explain
        self.trace: list[str] = []

    def redirected(self, user: str) -> Query:
        """The same question about another user (name or number) of the same domain."""
        domain = self.domain
        if domain is None and self.caller is not None:
            domain = self.caller.domain  # a number was dialled, without a domain
        uri_text = f"{self.uri.scheme if self.uri.scheme == 'sips' else 'sip'}:{user}@{domain}"
        uri = parse_uri(uri_text)
        rest = self.services, self.explain, self.is_trusted, "", self.own_hosts
        return Query(self.method, uri, uri_text, domain, self.caller, *rest)


def decide(
    directory: Directory, bindings: Callable[[int], Sequence[Binding]], query: Query
) -> Plan | Ask:
    """The plan for a request, or what must be known first.

    `bindings` gives an account's live bindings by its id.
    """
    plan = _decide(directory, bindings, query)
    if query.enum_suffix and isinstance(plan, Refuse):
        number = _number_to_ask_for(query, plan)
        if number:
            return Ask(number, query.enum_suffix, is_sips(query.uri_text), plan)
    return plan


def _number_to_ask_for(query: Query, plan: Refuse) -> str:
    """The full number of which ENUM may know more than we do, "" where there is nothing to ask.

    Only a caller who is known to us asks; a stranger could have us look up numbers.
    """
    if (
        plan.status != 404
        or plan.callee is not None
        or is_emergency(query.uri, is_foreign=query.domain is None)
    ):
        return ""
    if query.caller is None and not query.is_trusted:
        return ""
    number = dialled_number(query.uri)
    return number if is_full_number(number) else ""


def _decide(
    directory: Directory, bindings: Callable[[int], Sequence[Binding]], query: Query
) -> Plan:
    uri, domain = query.uri, query.domain
    user, context = asked_for(uri)
    if uri.scheme == "tel":
        domain = directory.default_domain if query.caller is None else query.caller.domain
    if (domain is not None and user in EMERGENCY_NUMBERS) or is_emergency(
        uri, is_foreign=domain is None
    ):
        return Refuse(404, "No Emergency Calls Here", EMERGENCY_TEXT, None, ("emergency",))
    if domain is None:
        return _foreign(query)
    if context:
        named = domain_of_context(directory, context, query.own_hosts)
        if named is None or (named != domain and not _is_marked(uri)):
            return _unavailable(query, 404, None, "number of another plan")
        domain = named
    if not user:
        return Refuse(404, "", "", None, ("no user part",))
    name = user.lower()
    if name in query.services:
        return Service(name, (f"service {name}",))
    return _our_user(directory, bindings, query, user, domain)


def is_emergency(uri: Uri, *, is_foreign: bool = False) -> bool:
    """Whether the Request-URI is the URN of an emergency service (RFC 5031 §4.2), or its number.

    The number may come with a context, which makes a long one of it. At a foreign domain it is
    somebody's name like any other.
    """
    if uri.scheme == "tel" or ("user" in uri.params and not is_foreign):
        number = uri.user_decoded.partition(";")[0].translate(_FOR_THE_EYE)
        return number in EMERGENCY_NUMBERS
    return uri.scheme == "urn" and uri.text.lower().startswith("urn:service:sos")


_FOR_THE_EYE: Final = str.maketrans("", "", "-.() ")
"""The visual separators of RFC 3966 §5.1.1, and the blanks that people type between digits."""
_DIGITS: Final = frozenset("0123456789abcdefABCDEF*#")


def _dialled(uri: Uri, user: str) -> tuple[str, str]:
    """The number of a telephone URI, and the domain that is its context or "" (RFC 3966 §5.1.5).

    A context that is a number is what stands before a local one. A name that somebody marked as a
    number stays a name.
    """
    if uri.scheme == "tel":
        context = uri.params.get("phone-context") or ""
    elif _is_marked(uri) or _is_number_at_heart(user):
        user, _, tail = user.partition(";")
        context = _context(tail) if tail else ""
    else:
        return user, ""
    number = user.translate(_FOR_THE_EYE)
    if not _DIGITS.issuperset(number[1:] if number[:1] == "+" else number):
        number = user
    if number[:1] == "+":
        return number, ""
    if context[:1] == "+":
        return context.translate(_FOR_THE_EYE) + number, ""
    return number, context.lower()


def _is_marked(uri: Uri) -> bool:
    """Whether a URI says itself that it is a telephone number, which may be one of another domain."""
    return uri.scheme == "tel" or (uri.params.get("user") or "").lower() == "phone"


def _is_number_at_heart(user: str) -> bool:
    """Whether a user part that nobody marked as a number is one, with blanks or parameters beside."""
    number = user.partition(";")[0].replace(" ", "").removeprefix("+")
    return bool(number) and number.isascii() and number.isdecimal()


def domain_of_context(directory: Directory, context: str, own_hosts: frozenset[str]) -> str | None:
    """The domain of ours that a phone-context means: a domain, or a host that phones take for theirs."""
    if context in directory.domains:
        return context
    return directory.default_domain if context.removesuffix(".") in own_hosts else None


def dialled_number(uri: Uri) -> str:
    """The number that a URI asks for, with what only helps the eye taken out; "" where it is none."""
    number, context = asked_for(uri)
    return number if number[:1] == "+" and not context else ""


def account_named(
    directory: Directory,
    uri: Uri,
    domain: str | None,
    own_hosts: frozenset[str] = frozenset(),
    *,
    has_numbers: bool = False,
) -> Account | None:
    """The account of ours that a URI names, however it is written; `domain`: of ours, by its host.

    A number of ours is ours, whatever foreign host stands behind it: phones show the number alone.
    `has_numbers` tells that who writes it has local numbers of its own.
    """
    user, context = asked_for(uri)
    named = domain_of_context(directory, context, own_hosts) if context else None
    if named is not None:
        domain = named
    elif uri.scheme == "tel" or (domain is None and _is_number(uri, user, has_numbers)):
        found = (directory.resolve(user, name) for name in directory.domains)
        return next((account for account in found if account is not None), None)
    return None if domain is None else directory.resolve(user, domain)


def _is_number(uri: Uri, user: str, has_numbers: bool) -> bool:
    """Whether this user of a foreign SIP URI is a telephone number, which may be one of ours."""
    if (uri.params.get("user") or "").lower() != "phone":
        return False
    if user[:1] == "+":
        return True
    return user.isascii() and user.isdecimal() and not has_numbers


def asked_for(uri: Uri) -> tuple[str, str]:
    """Name or number, and the domain that is its context or ""."""
    user = uri.user_decoded
    if uri.scheme == "tel" or "user" in uri.params or " " in user or ";" in user:
        return _dialled(uri, user)
    return user, ""


def _context(params: str) -> str:
    """The phone-context among the parameters in the user part of a SIP URI (RFC 3261 §19.1.6)."""
    for piece in params.split(";"):
        name, _, value = piece.partition("=")
        if name.lower() == "phone-context":
            return value
    return ""


def _foreign(query: Query) -> Plan:
    if query.caller is None and not query.is_trusted:
        return Refuse(403, "Relaying Denied", "", None, ("stranger to a foreign domain",))
    if query.uri.scheme not in ("sip", "sips"):
        return Refuse(416, "", "", None, ("scheme not routed here",))
    who = "a trusted peer" if query.caller is None else f"line {query.caller.id}"
    return Relay(Target(query.uri_text), (f"foreign domain for {who}",))


def _our_user(
    directory: Directory,
    bindings: Callable[[int], Sequence[Binding]],
    query: Query,
    user: str,
    domain: str,
) -> Plan:
    account = directory.resolve(user, domain)
    if account is None:
        return _unavailable(query, 404, None, "no such name or number")
    if account.state is not AccountState.ACTIVE:
        return _unavailable(query, 480, account, "account not active")
    live = bindings(account.id)
    if query.uri.scheme == "sips":
        live = [binding for binding in live if is_sips(binding.contact)]
    if not live:
        return _unavailable(query, 480, account, "not registered")
    trace = (f"line {account.id}", f"{len(live)} bindings")
    return Fork(account, groups_by_q(live, query.uri.scheme == "sips"), trace)


def _unavailable(query: Query, status: int, account: Account | None, why: str) -> Refuse:
    if query.caller is None and not query.is_trusted:
        status = 480
    warning = SIPS_NOT_ALLOWED if status == 480 and query.uri.scheme == "sips" else ""
    return Refuse(status, "", "", account, (why,), warning)


def groups_by_q(live: Sequence[Binding], secure: bool = False) -> tuple[Group, ...]:
    """Bindings of equal q ring together, higher q first (RFC 3261 §16.6).

    `secure` tells whether they were asked for by a sips URI.
    """
    if len(live) == 1:
        return (Group((_target(live[0], secure),)),)
    by_q: dict[int, list[Target]] = {}
    for binding, *others in _phones(live):
        target = _target(binding, secure)
        if others:
            target.followed_by(tuple([_target(other, secure) for other in others]))
        by_q.setdefault(binding.q, []).append(target)
    return tuple(Group(tuple(by_q[q])) for q in sorted(by_q, reverse=True))


def _phones(live: Sequence[Binding]) -> list[list[Binding]]:
    """The bindings by phone: those of one instance are ways to the same one, the newest first.

    Never is it asked by two of them at the same time (RFC 5626 §7).
    """
    phones: list[list[Binding]] = []
    instances: dict[str, list[Binding]] = {}
    for binding in live:
        flows = instances.get(binding.instance) if binding.instance else None
        if flows is None:
            flows = []
            phones.append(flows)
            if binding.instance:
                instances[binding.instance] = flows
        flows.append(binding)
    for flows in instances.values():
        flows.sort(key=lambda binding: -binding.expires_at)
    return phones


def _target(binding: Binding, secure: bool) -> Target:
    contact = binding.contact
    if not secure and is_sips(contact):
        # A sip URI is never made a sips URI on its way, but TLS it must be (RFC 5630 §5.3).
        uri = f"sip{contact[4:]}"
        return Target(uri, binding.flow, binding.path, binding.line_id, contact, binding.device_id)
    device_id = binding.device_id
    target = Target(contact, binding.flow, binding.path, binding.line_id, "", device_id)
    flow = binding.flow
    if flow is None or flow.reliable or binding.path or binding.instance:
        return target
    if is_mapped(parse_uri(contact), flow):  # should it listen there after all
        return target.followed_by((Target(contact, None, (), binding.line_id, "", device_id),))
    return target
