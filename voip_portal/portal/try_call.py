"""Try a call: where it would go now, decided by the same function as in the SIP server, in plain words.

Only the rows that this one decision needs are read: the small tables, the holder of the dialled name or
number, and that line's registrations.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from sipcore.bindings import Binding as Bound
from sipcore.bindings import flow_from_json, path_from_json
from sipcore.directory import (
    Account,
    Accounts,
    AccountState,
    Addresses,
    Directory,
    DomainAddress,
    NumberLookup,
)
from sipcore.errors import MalformedMessage
from sipcore.message import Uri, parse_uri
from sipcore.routing import Ask, Fork, Plan, Query, Refuse, Relay, Service, asked_for, decide
from sipcore.transport.own_addresses import Listener, OwnAddresses
from voip_portal.directory.discovery import LOADERS
from voip_portal.lines.models import Device, Line
from voip_portal.location.models import Binding
from voip_portal.nodes.services import Served, served
from voip_portal.numbers import service_names
from voip_portal.numbers.models import Address, AddressState, NumberRange

LONGEST: Final = 200
"""characters: of what is dialled."""
_SAFE: Final = "-_.!~*'()&=+$,;?/"
"""What may stand in the user part of a SIP URI as it is, besides letters and digits (RFC 3261 §25.1)."""
_SCHEMES: Final = ("sip:", "sips:", "tel:")
_MANY: Final = (Accounts, Addresses)
"""The parts that are read for one line alone."""


class NoSuchCaller(Exception):
    """Nobody here has this name or number."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What would become of a call."""

    uri: str
    """What is asked for, as the phone would send it."""
    steps: list[str]
    """Sentences, in the order of the decision; the last one is the outcome."""
    phones: list[list[str]]
    """Names of the phones that ring, together in each inner list, one list after the other."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a name or number in one of our domains."""

    domain: str
    sentence: str
    line: Line | None
    more: list[str]
    """Ranges that a number is in."""


class _Tables:
    """A `Reader` of the portal's own connection."""

    def query(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement.replace("?", "%s"), args)
            return cursor.fetchall()

    def rows(self, statement: str, args: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        return iter(self.query(statement, args))


def try_call(caller: str, dialled: str) -> Trial:
    """What becomes of a call by this line (its name or number; "": somebody outside) to this text.

    `NoSuchCaller` and `MalformedMessage` say what is wrong with the question.
    """
    query, plan = decided(caller, dialled)
    return Trial(query.uri_text, list(_steps(query, plan)), _phones(plan))


def decided(caller: str, dialled: str) -> tuple[Query, Plan | Ask]:
    """The question that this call is, and what is decided; errors as in `try_call`."""
    line = _line_of(caller) if caller else None
    if caller and line is None:
        raise NoSuchCaller
    parts = [loader.load(_Tables(), None) for loader in LOADERS if loader.kind not in _MANY]
    directory = Directory(parts=parts)
    uri = parse_uri(uri_text_of(dialled, directory.default_domain))
    user, _context = asked_for(uri)
    directory = directory.with_parts(0, _about(user, line, directory.default_domain))
    query = _question(directory, uri, line)
    return query, decide(directory, bindings_of, query)


def uri_text_of(dialled: str, domain: str) -> str:
    """The URI that a phone of this domain makes of what is typed."""
    text = dialled.strip()
    scheme, colon, _rest = text.partition(":")
    if colon and scheme.isascii() and scheme.isalpha():
        return text
    if "@" in text:
        return f"sip:{text}"
    return f"sip:{quote(text, safe=_SAFE)}@{domain}"


def reports(dialled: str) -> list[Report]:
    """What is known of a name or number, in each domain of ours that has it, else of its ranges."""
    value = dialled.strip().lower()
    for scheme in _SCHEMES:
        value = value.removeprefix(scheme)
    value = value.partition("@")[0]
    held = Address.objects.filter(value=value).select_related("domain", "line__owner")
    found = [_report(address) for address in held]
    if not found and value.isascii() and value.isdecimal():
        more = _ranges(value)
        sentence = (
            _("Nobody has this number.") if more else _("This number is in no range of ours.")
        )
        found = [Report("", sentence, None, more)]
    return found


def _report(address: Address) -> Report:
    if address.line is not None:
        sentence = _("Held by a line.")
    elif address.state == AddressState.RESERVED:
        sentence = _("Reserved: it is given to nobody.")
    elif address.until is not None:
        day = address.until.date().isoformat()
        sentence = _("In quarantine until %(day)s: then it may be given out again.") % {"day": day}
    else:
        sentence = _("In quarantine: it is given to nobody yet.")
    more = _ranges(address.value) if address.kind == "number" else []
    return Report(address.domain.name, sentence, address.line, more)


def _ranges(number: str) -> list[str]:
    """The ranges that a number is in, with what they are for."""
    found = NumberRange.objects.filter(first__lte=number, last__gte=number).select_related("domain")
    return [
        (_("in %(range)s, the pool for students") if of.is_pool else _("in %(range)s"))
        % {"range": f"{of} ({of.domain.name})"}
        for of in found
        if len(of.first) == len(number)
    ]


# --- the question ------------------------------------------------------------------------------
def _line_of(text: str) -> Line | None:
    value = text.strip().lower().partition("@")[0]
    held = Address.objects.filter(value=value, line__isnull=False).select_related("line")
    address = held.order_by("-domain__is_default", "pk").first()
    return address.line if address is not None else Line.objects.filter(username=value).first()


def _about(user: str, caller: Line | None, domain: str) -> list[Accounts | Addresses]:
    """The accounts of the caller and of whoever holds the name or number, and its addresses."""
    held = Address.objects.filter(value=user.lower(), line__isnull=False)
    addresses = list(held.select_related("domain", "line"))
    lines = {address.line_id: address.line for address in addresses}
    if caller is not None:
        lines[caller.pk] = caller
    return [
        Accounts(_account_of(line, domain) for line in lines.values() if line is not None),
        Addresses(
            DomainAddress(address.domain.name, address.value, address.line_id)
            for address in addresses
            if address.line_id is not None
        ),
    ]


def _account_of(line: Line, domain: str) -> Account:
    """Without its devices' secrets, which no decision asks for."""
    return Account(line.pk, line.username, domain, AccountState(line.state), line.class_of_service)


def _question(directory: Directory, uri: Uri, line: Line | None) -> Query:
    here = served()
    hosts = frozenset({here.host, settings.VOIP_ADVERTISE.strip("[]").lower(), "localhost"})
    own = OwnAddresses(_listeners(here), hosts, directory)
    return Query(
        "INVITE",
        uri,
        uri.text,
        own.domain_of(uri) if own.is_ours(uri) else None,
        None if line is None else directory.account(line.pk),
        frozenset(service_names.loaded() - {name for name, _whose in service_names.held()}),
        explain=True,
        enum_suffix=directory.part(NumberLookup).suffix,
        own_hosts=hosts,
    )


def _listeners(here: Served) -> tuple[Listener, ...]:
    return tuple(
        Listener(transport, (here.host, port), (here.host, port))
        for transport, port in here.ports.items()
    )


def bindings_of(line_id: int) -> list[Bound]:
    """The live registrations of a line, as the SIP server has them."""
    live = Binding.objects.filter(line_id=line_id, expires_at__gt=time.time()).order_by("pk")
    return [
        Bound(
            line_id=row.line_id,
            key=row.key,
            contact=row.contact,
            call_id=row.call_id,
            cseq=row.cseq,
            expires_at=row.expires_at,
            q=row.q,
            flow=flow_from_json(row.flow),
            path=path_from_json(row.path),
            instance=row.instance,
            reg_id=row.reg_id,
            user_agent=row.user_agent,
            device_id=row.device_id,
        )
        for row in live
    ]


# --- the answer ---------------------------------------------------------------------------------
SENTENCES: Final = {
    "emergency": gettext_lazy(
        "This is an emergency number, and there are no emergency calls here."
    ),
    "number of another plan": gettext_lazy(
        "The number belongs to the number plan of somebody else."
    ),
    "no user part": gettext_lazy("Nobody is named: there is nothing before the domain."),
    "stranger to a foreign domain": gettext_lazy(
        "Somebody outside asks for another domain: we pass on nothing for strangers."
    ),
    "scheme not routed here": gettext_lazy("Addresses of this kind cannot be called."),
    "no such name or number": gettext_lazy("Nobody here has this name or number."),
    "account not active": gettext_lazy("The line that has it is suspended or closed."),
    "not registered": gettext_lazy("The line that has it has no phone connected now."),
}
"""What the trace of a refusal says, in plain words."""


def _steps(query: Query, decision: Plan | Ask) -> Iterator[str]:
    """What was decided, sentence by sentence."""
    if query.caller is None:
        yield _("The caller is somebody outside.")
    else:
        yield _("The caller is %(name)s.") % {"name": query.caller.aor}
    if query.domain is not None:
        yield _("%(uri)s is an address of ours, in %(domain)s.") % {
            "uri": query.uri_text,
            "domain": query.domain,
        }
    plan = decision
    if isinstance(decision, Ask):
        yield _("Nobody here has the number: the DNS is asked for it (%(name)s).") % {
            "name": decision.question[0]
        }
        yield _("If the DNS does not know it either:")
        plan = decision.otherwise
    yield from _outcome(plan)
    if isinstance(plan, Fork) and query.caller is not None and plan.callee.id == query.caller.id:
        yield _("It is the caller's own line: of these, the phone that calls does not ring.")


def _outcome(plan: Plan | Ask) -> Iterator[str]:
    if isinstance(plan, Fork):
        yield _("It is held by %(name)s.") % {"name": plan.callee.aor}
        count = sum(len(group.targets) for group in plan.groups)
        yield ngettext("%(count)s phone rings.", "%(count)s phones ring.", count) % {"count": count}
    elif isinstance(plan, Relay):
        yield _("The call is sent on to %(uri)s.") % {"uri": plan.target.uri_text}
    elif isinstance(plan, Service):
        yield _("Our service “%(name)s” answers.") % {"name": plan.name}
    elif isinstance(plan, Refuse):
        for told in plan.trace:
            yield str(SENTENCES[told])
        yield _("The caller hears: %(status)s.") % {"status": plan.status}


def _phones(plan: Plan | Ask) -> list[list[str]]:
    if not isinstance(plan, Fork):
        return []
    ids = {target.device_id for group in plan.groups for target in group.targets}
    labels = dict(Device.objects.filter(pk__in=ids).values_list("pk", "label"))
    return [
        [labels.get(target.device_id, target.uri_text) for target in group.targets]
        for group in plan.groups
    ]


# --- the page -----------------------------------------------------------------------------------
def page(request: HttpRequest) -> HttpResponse:
    """Who calls and what is dialled, and below it what would become of that."""
    if not request.user.has_perm("lines.view_line"):  # type: ignore[union-attr]
        raise PermissionDenied
    caller = request.GET.get("caller", "").strip()[:LONGEST]
    dialled = request.GET.get("dialled", "").strip()[:LONGEST]
    trial, wrong = None, ""
    if dialled:
        try:
            trial = try_call(caller, dialled)
        except NoSuchCaller:
            wrong = _("Nobody here is called “%(text)s”. Enter a number or user name, or nothing.")
            wrong %= {"text": caller}
        except MalformedMessage:
            wrong = _("“%(text)s” cannot be called. Enter a number, a user name or a SIP address.")
            wrong %= {"text": dialled}
    context = {
        **admin.site.each_context(request),
        "title": _("Try a call"),
        "caller": caller,
        "dialled": dialled,
        "trial": trial,
        "wrong": wrong,
        "reports": reports(dialled) if dialled else [],
    }
    return TemplateResponse(request, "admin/try_call.html", context)
