"""The registrar's responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from sipcore.bindings import DEFAULT_Q, Binding
from sipcore.message import Request, Response, parse_name_addr
from sipcore.random_source import RandomSource
from sipcore.registrar.policy import RegistrarPolicy

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FIRST_HALF: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun")
_MONTHS: Final = (*_FIRST_HALF, "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SPREAD_BITS: Final = 16


def answer(
    request: Request,
    bindings: Sequence[Binding],
    at: float,
    policy: RegistrarPolicy,
    random: RandomSource | None = None,
) -> Response:
    """The 200 with all live contacts and what remains of each (RFC 3261 §10.3 item 8).

    `bindings` are those of the line after the change is in force. Of the contacts of this request it
    says less, by a share that `random` gives; None for a request that has changed nothing.
    """
    headers: list[tuple[str, str]] = []
    outbound = False
    share = 0 if random is None or not policy.spread_part else random.getrandbits(_SPREAD_BITS)
    for binding in _shown(request, bindings):
        # Rounded, since some milliseconds have passed since it was granted; 0 would mean removed.
        seconds = max(1, round(binding.expires_at - at))
        if _is_from(binding, request):
            outbound = outbound or binding.reg_id > 0
            if share:
                seconds = _less(seconds, share, policy)
        headers.append(("Contact", contact_value(binding, seconds)))
    if policy.service_route and headers:
        headers += [("Service-Route", value) for value in policy.service_route]  # RFC 3608 §6
    if "path" in request.keys:
        headers += [("Path", row) for row in request.rows("path")]  # RFC 3327 §5.3
    if outbound and "outbound" in request.supported:
        headers.append(("Require", "outbound"))  # RFC 5626 §6
    headers.append(("Supported", ", ".join(policy.option_tags)))
    headers.append(("Date", sip_date(int(at))))
    return request.respond(200, "OK", to_tag=tag_for(request), headers=headers)


def refuse(
    request: Request, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """A failure response."""
    return request.respond(status, reason, to_tag=tag_for(request), headers=headers)


def _less(seconds: int, share: int, policy: RegistrarPolicy) -> int:
    """An interval shortened by this share of what it may be shortened by."""
    most = min(seconds // policy.spread_part, seconds - policy.min_expires_s)
    return seconds - ((most + 1) * share >> _SPREAD_BITS) if most > 0 else seconds


def contact_value(binding: Binding, seconds: int) -> str:
    """A Contact value as the 200 lists it, with what is said to remain of it."""
    text = f"<{binding.contact}>;expires={seconds}"
    if binding.q != DEFAULT_Q:
        text += f";q={binding.q / 1000:g}"
    if binding.instance:
        text += f';+sip.instance="{binding.instance}"'
        if binding.reg_id:
            text += f";reg-id={binding.reg_id}"
    return text + binding.params if binding.params else text


@lru_cache(maxsize=4)
def sip_date(second: int) -> str:
    """A Date header value (RFC 3261 §20.17); formatted here because strftime obeys the locale."""
    t = datetime.fromtimestamp(second, UTC)
    day = f"{_DAYS[t.weekday()]}, {t.day:02d} {_MONTHS[t.month - 1]} {t.year:04d}"
    return f"{day} {t.hour:02d}:{t.minute:02d}:{t.second:02d} GMT"


def tag_for(request: Request) -> str:
    """A To tag; the same for the same request, whoever answers it."""
    seed = f"{request.call_id}\0{request.branch}\0{request.cseq_number}"
    return blake2b(seed.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def _shown(request: Request, bindings: Sequence[Binding]) -> Sequence[Binding]:
    """The bindings to tell of: each contact once, and of the same ones the asking phone's own.

    Phones in several homes may write the same private address, and each looks for it in the list.
    """
    if not bindings or (len(bindings) == 1 and _is_from(bindings[0], request)):
        return bindings
    values = [v for v in request.values("contact") if v != "*"]
    contacts = [parse_name_addr(value, "contact") for value in values]
    asked = {contact.uri_text for contact in contacts if "reg-id" not in contact.params}
    shown: dict[str, Binding] = {}
    for binding in bindings:
        # Flows of one phone may have one contact: each has its reg-id in the list (RFC 5626 §6).
        name = binding.key if binding.reg_id else binding.contact
        is_own = binding.reg_id > 0 or binding.call_id == request.call_id
        if is_own or (name not in asked and name not in shown):
            shown[name] = binding
    return list(shown.values())


def _is_from(binding: Binding, request: Request) -> bool:
    return binding.cseq == request.cseq_number and binding.call_id == request.call_id
