"""Giving out names and numbers, and taking them back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Length
from django.utils import timezone

from voip_portal.accounts.models import User
from voip_portal.accounts.services import locked
from voip_portal.lines import services as lines
from voip_portal.lines.models import Line, State
from voip_portal.numbers.models import Address, AddressState, Domain, Kind, NumberRange

QUARANTINE: Final = timedelta(days=180)
"""How long a released number rests, so that its next holder does not get the last one's calls."""
SERVICE_NAMES: Final = ("echo", "callback", "after-hours")
"""Names of the services that come with us: reserved in every domain, whether they are loaded or not."""
_GUESSES: Final = 12
"""Random numbers tried before the free ones are counted out."""


class PoolEmpty(Exception):
    """No number is left to give out."""


class ShutOut(Exception):
    """The person may not log in any more."""


class HasLine(Exception):
    """The person has an open line already."""


class OverlappingRange(Exception):
    """A range shares numbers with another one of its domain."""


def default_domain() -> Domain:
    """The domain of canonical addresses."""
    return Domain.objects.get(is_default=True)


def make_default(domain: Domain) -> None:
    """Let canonical addresses be in this domain from now on."""
    with transaction.atomic():
        Domain.objects.filter(is_default=True).update(is_default=False)
        Domain.objects.filter(pk=domain.pk).update(is_default=True)


def open_line(owner: User | None, username: str, *, label: str = "") -> Line:
    """A line with its name and, unless the pool is empty, a number. All or nothing but the number.

    A person has one open line; a second click that comes at the same time gets `HasLine`. Who was
    suspended or closed the account since she asked gets `ShutOut`.
    """
    with transaction.atomic():
        if owner is not None:
            if not locked(owner).is_active:
                raise ShutOut(owner.email)
            if Line.objects.filter(owner=owner).exclude(state=State.CLOSING).exists():
                raise HasLine(owner.email)
        domain = default_domain()
        line = lines.create_line(owner, username, label=label)
        claim_name(line, domain)
        try:
            allot_number(line, domain)
        except PoolEmpty:
            pass  # the student can call by name meanwhile; the pages and the admin say so
    return line


def claim_name(line: Line, domain: Domain) -> Address:
    """Hold the line's user name as an address of the domain."""
    try:
        with transaction.atomic():
            return Address.objects.create(
                domain=domain, kind=Kind.NAME, value=line.username, line=line
            )
    except IntegrityError as error:
        raise lines.NameTaken(line.username) from error


def reserve_names(domain: Domain, values: Iterable[str]) -> None:
    """Keep names of services out of students' hands; those already there stay as they are."""
    for value in values:
        Address.objects.get_or_create(
            domain=domain,
            value=value,
            defaults={"kind": Kind.NAME, "state": AddressState.RESERVED},
        )


def allot_number(line: Line, domain: Domain, at: datetime | None = None) -> Address:
    """Give the line a random free number of the domain's pools, or raise `PoolEmpty`.

    Two callers may choose the same number at the same time: the unique (domain, value) lets one
    of them have it, and the other chooses again. Two clicks for one line get one number.
    """
    with transaction.atomic():
        Line.objects.select_for_update().get(pk=line.pk)
        return _allot(line, domain, at or timezone.now())


def _allot(line: Line, domain: Domain, now: datetime) -> Address:
    held = line.addresses.filter(domain=domain, kind=Kind.NUMBER).first()
    if held is not None:
        return held
    for value in _candidates(domain, now):
        address = _take(line, domain, value, now)
        if address is not None:
            return address
    raise PoolEmpty(domain.name)


def _candidates(domain: Domain, now: datetime) -> Iterator[str]:
    """Numbers worth trying: a few random ones, then all that are free, in random order."""
    pools = list(NumberRange.objects.filter(domain=domain, is_pool=True))
    if not pools:
        return
    total = sum(pool.size for pool in pools)
    for _ in range(_GUESSES):
        yield _nth(pools, secrets.randbelow(total))
    free = free_numbers(domain, now)
    while free:
        yield free.pop(secrets.randbelow(len(free)))


def _nth(pools: list[NumberRange], index: int) -> str:
    for pool in pools:
        if index < pool.size:
            return str(int(pool.first) + index).zfill(len(pool.first))
        index -= pool.size
    raise IndexError(index)


def _take(line: Line, domain: Domain, value: str, now: datetime) -> Address | None:
    """Hold a number if nobody does and its quarantine is over."""
    rested = Address.objects.filter(
        domain=domain, value=value, state=AddressState.QUARANTINE, until__lte=now
    ).update(line=line, state=AddressState.HELD, until=None)
    if rested:
        return Address.objects.get(domain=domain, value=value)
    if Address.objects.filter(domain=domain, value=value).exists():
        return None
    try:
        with transaction.atomic():
            return Address.objects.create(domain=domain, kind=Kind.NUMBER, value=value, line=line)
    except IntegrityError:
        return None


def free_numbers(domain: Domain, at: datetime | None = None) -> list[str]:
    """All numbers of the domain's pools that can be given out now, in order."""
    now = at or timezone.now()
    taken = set(
        Address.objects.filter(domain=domain, kind=Kind.NUMBER)
        .exclude(state=AddressState.QUARANTINE, until__lte=now)
        .values_list("value", flat=True)
    )
    return [
        value
        for pool in NumberRange.objects.filter(domain=domain, is_pool=True).order_by("first")
        for number in range(int(pool.first), int(pool.last) + 1)
        if (value := str(number).zfill(len(pool.first))) not in taken
    ]


def pool_size(domain: Domain) -> int:
    """How many numbers the domain's pools have, given out or not."""
    return sum(pool.size for pool in NumberRange.objects.filter(domain=domain, is_pool=True))


def pool_left(domain: Domain, at: datetime | None = None) -> int:
    """How many numbers of the domain's pools can still be given out."""
    pools = NumberRange.objects.filter(domain=domain, is_pool=True)
    return sum(range_left(pool, at) for pool in pools)


def range_left(pool: NumberRange, at: datetime | None = None) -> int:
    """How many numbers of one range can still be given out, counted by the database."""
    taken = (
        Address.objects.filter(domain=pool.domain_id, kind=Kind.NUMBER)
        # Numbers of one range have equal length, so that text order is number order.
        .alias(length=Length("value"))
        .filter(value__gte=pool.first, value__lte=pool.last, length=len(pool.first))
        .exclude(Q(state=AddressState.QUARANTINE) & Q(until__lte=at or timezone.now()))
        .count()
    )
    return pool.size - taken


def check_range(candidate: NumberRange) -> None:
    """Raise when a range shares numbers with another one of its domain."""
    others = NumberRange.objects.filter(domain=candidate.domain).exclude(pk=candidate.pk)
    for other in others.filter(first__lte=candidate.last, last__gte=candidate.first):
        if len(other.first) == len(candidate.first):
            raise OverlappingRange(str(other))


def release(line: Line, at: datetime | None = None) -> None:
    """Take a closed line's addresses back: numbers into quarantine, names reserved for ever."""
    now = at or timezone.now()
    held = line.addresses.filter(state=AddressState.HELD)
    with transaction.atomic():
        held.filter(kind=Kind.NUMBER).update(
            line=None, state=AddressState.QUARANTINE, until=now + QUARANTINE
        )
        held.filter(kind=Kind.NAME).update(line=None, state=AddressState.RESERVED)


def ensure_numbering_plan(domain_name: str, first: str, last: str) -> Domain:
    """The first domain with its pool and reserved names, when there is no domain yet (idempotent)."""
    with transaction.atomic():
        domain = Domain.objects.filter(is_default=True).first()
        if domain is None:
            domain = Domain.objects.create(name=domain_name, is_default=True)
            NumberRange.objects.create(domain=domain, first=first, last=last, is_pool=True)
        reserve_names(domain, SERVICE_NAMES)
    return domain


def number_of(line: Line) -> str:
    """The line's number, or an empty text when it has none."""
    address = line.addresses.filter(kind=Kind.NUMBER, state=AddressState.HELD).first()
    return address.value if address else ""
