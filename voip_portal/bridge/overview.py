"""What the admin's home page says of the service: a few indexed questions, no scan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db.models import Max
from django.utils.timezone import now
from django.utils.translation import gettext

from voip_portal.accounts import steadycache
from voip_portal.calls.models import Call, Record
from voip_portal.calls.services import in_words
from voip_portal.changes import triggers
from voip_portal.changes.models import Change
from voip_portal.nodes import domain_records
from voip_portal.nodes.models import Node
from voip_portal.nodes.services import SILENT_AFTER, served
from voip_portal.numbers import service_names
from voip_portal.numbers import services as numbers
from voip_portal.numbers.models import Domain

GONE_AFTER_S: Final = 7 * 86_400
"""A node not heard of for so long is no longer shown."""
LATEST_CALLS: Final = 500
SHOWN: Final = 8
TROUBLE: Final = frozenset({"failed", "lost", "vanished", "terminated"})
"""Causes that speak of the service rather than of people."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node as the page shows it."""

    name: str
    silent_s: int | None
    """Seconds since its last heartbeat; None when there was none."""
    started_at: datetime | None
    version: int
    refused_version: int | None
    refused_why: str
    calls: int
    registrations: int
    waiting: int

    @property
    def is_alive(self) -> bool:
        return self.silent_s is not None and self.silent_s < SILENT_AFTER.total_seconds()


@dataclass(frozen=True, slots=True)
class Trouble:
    """A call that ended for no reason of its people's, or a phone that was refused."""

    at: datetime
    what: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Numbers left in a domain's pools."""

    domain: str
    left: int
    size: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page."""

    version: int
    nodes: Sequence[NodeState]
    pools: Sequence[Pool]
    troubles: Sequence[Trouble]
    changes: Sequence[Change]
    faults: Sequence[str]
    """What is wrong with the triggers."""
    unloaded: Sequence[tuple[str, str]]
    """Services that are not loaded, and whose name each has."""
    records: domain_records.Found | None
    """What the DNS lacks for our domain; None where it leads here, or nobody has looked."""
    degraded: str
    """What the service does without at present, in a sentence; "" for nothing."""

    @property
    def alive(self) -> list[NodeState]:
        return [node for node in self.nodes if node.is_alive]

    @property
    def up_to_date(self) -> int:
        """How many live nodes decide by the latest version."""
        return sum(node.version == self.version for node in self.alive)

    @property
    def calls(self) -> int:
        return sum(node.calls for node in self.alive)

    @property
    def registrations(self) -> int:
        """Every node holds all bindings, so the largest count is the number."""
        return max((node.registrations for node in self.alive), default=0)

    @property
    def waiting(self) -> int:
        return sum(node.waiting for node in self.nodes)


def overview() -> Overview:
    """The state of the service now."""
    return Overview(
        version=Change.objects.aggregate(latest=Max("version"))["latest"] or 0,
        nodes=nodes(),
        pools=pools(),
        troubles=troubles(),
        changes=list(Change.objects.order_by("-id")[:SHOWN]),
        faults=triggers.problems(),
        unloaded=service_names.held(),
        records=missing_records(),
        degraded=steadycache.problem(),
    )


def missing_records() -> domain_records.Found | None:
    """What was found lately of the default domain, where it does not lead here."""
    found = domain_records.last_found(served().host)
    return None if found is None or found.leads_here else found


def nodes() -> list[NodeState]:
    """Nodes that were heard of lately, by name."""
    moment = now()
    found = []
    for node in Node.objects.order_by("name"):
        heard = node.heartbeat_at
        silent = None if heard is None else max(0, int((moment - heard).total_seconds()))
        if silent is None or silent > GONE_AFTER_S:
            continue
        found.append(
            NodeState(
                node.name,
                silent,
                node.started_at,
                node.directory_version,
                node.refused_version,
                node.refused_why,
                node.calls_now,
                node.registrations,
                node.spool_backlog,
            )
        )
    return found


def pools() -> list[Pool]:
    """What is left to give out, by domain."""
    domains = Domain.objects.filter(numberrange__is_pool=True).distinct().order_by("name")
    return [Pool(d.name, numbers.pool_left(d), numbers.pool_size(d)) for d in domains]


def troubles() -> list[Trouble]:
    """The latest failures among calls and log-ins of phones, newest first."""
    return sorted([*failed_calls(), *refused_phones()], key=lambda t: t.at, reverse=True)[:SHOWN]


def failed_calls() -> list[Trouble]:
    """Failures among the latest calls."""
    latest = Call.objects.order_by("-started_at").values_list(
        "started_at", "cause", "from_uri", "dialled", "status", "reason"
    )
    return [
        Trouble(at, in_words(cause), f"{caller} → {dialled}", f"{status or ''} {reason}".strip())
        for at, cause, caller, dialled, status, reason in latest[:LATEST_CALLS]
        if cause in TROUBLE
    ][:SHOWN]


def refused_phones() -> list[Trouble]:
    """Phones refused in the last hour."""
    rows = Record.objects.filter(kind="auth.refused", at__gte=time.time() - 3600)
    return [
        Trouble(
            datetime.fromtimestamp(at, UTC),
            gettext("phone refused"),
            str(data.get("username", "")),
            str(data.get("source", "")),
        )
        for at, data in rows.order_by("-at").values_list("at", "data")[:SHOWN]
    ]
