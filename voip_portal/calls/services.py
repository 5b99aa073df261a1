"""Questions about calls and records, and folding again."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from voip_portal.calls.models import Call, Record
from voip_portal.calls.storing import fold_calls

REFUSALS_FOR_S: Final = 300
LONG_OPEN_S: Final = 3600
OLD_PHONE_FOR_S: Final = 2 * 86_400
"""It is recorded once a day."""
LONGEST_REGISTRATION_S: Final = 7200
"""As the registrar grants it at most."""
FOLD_BATCH: Final = 200
CAUSES: Final = (
    ("completed", _("completed")),
    ("cancelled", _("cancelled")),
    ("rejected", _("rejected")),
    ("busy", _("busy")),
    ("no_answer", _("no answer")),
    ("unreachable", _("unreachable")),
    ("failed", _("failed")),
    ("lost", _("lost")),
    ("vanished", _("vanished")),
    ("terminated", _("terminated")),
    ("too_long", _("too long")),
)
"""Why calls end, as staff read it."""


def in_words(cause: str) -> str:
    """A cause as staff read it; never empty, so that no list has a hole."""
    return str(dict(CAUSES).get(cause, cause or _("not known")))


def recent_refusals(
    username: str, source: str, within_s: float = REFUSALS_FOR_S
) -> list[dict[str, Any]]:
    """Refused log-ins of phones, newest first: for this user name, or from this address.

    Each has `at` (epoch seconds), `username`, `known` (whether that name exists) and `source`.
    """
    rows = (
        Record.objects.filter(kind="auth.refused", at__gte=time.time() - within_s)
        .filter(Q(data__username=username) | Q(data__source=source))
        .order_by("-at")
        .values_list("at", "data")[:20]
    )
    return [
        {
            "at": at,
            "when": datetime.fromtimestamp(at, UTC),
            "username": data.get("username", ""),
            "known": bool(data.get("known")),
            "source": data.get("source", ""),
        }
        for at, data in rows
    ]


def connected_at(device_id: int, within_s: float = REFUSALS_FOR_S) -> float:
    """When a device last registered a contact anew (epoch seconds); 0.0 when not lately."""
    rows = Record.objects.filter(
        kind="register.new", at__gte=time.time() - within_s, data__device=device_id
    )
    return float(rows.order_by("-at").values_list("at", flat=True).first() or 0.0)


class Silence(NamedTuple):
    """A device that answers no call, in epoch seconds."""

    since: float
    told_at: float


class DeviceNews(NamedTuple):
    """What the SIP server has told of devices lately, by their ids."""

    silent: dict[int, Silence]
    """Those that are said not to answer, by what was told of each last."""
    old: set[int]
    """Those that were let in with MD5, as they give up at SHA-256."""


def device_news(device_ids: Collection[int], at: float | None = None) -> DeviceNews:
    """The news of these devices.

    That one does not answer is overtaken by a newer registration after the longest time of one.
    """
    now = time.time() if at is None else at
    rows = Record.objects.filter(
        kind__in=("device.silent", "device.heard", "device.md5"),
        at__gte=now - OLD_PHONE_FOR_S,
        data__device__in=list(device_ids),
    )
    news = DeviceNews({}, set())
    for kind, told_at, data in rows.order_by("at", "pk").values_list("kind", "at", "data"):
        device_id = data["device"]
        if kind == "device.md5":
            news.old.add(device_id)
            continue
        news.silent.pop(device_id, None)
        if kind == "device.silent" and told_at >= now - LONGEST_REGISTRATION_S:
            news.silent[device_id] = Silence(float(data["since"]), told_at)
    return news


def refold_all() -> int:
    """Fold every call again from its records; how many. Nobody has to stop for it."""
    return sum(_fold(batch) for batch in _batches_of_contexts())


def refold_open(at: float | None = None) -> int:
    """Fold calls again that have been going on for long; how many."""
    now = time.time() if at is None else at
    began_before = datetime.fromtimestamp(now - LONG_OPEN_S, UTC)
    still_open = Call.objects.filter(open=True, started_at__lt=began_before)
    contexts = list(still_open.order_by("started_at").values_list("context", flat=True))
    batches = (contexts[i : i + FOLD_BATCH] for i in range(0, len(contexts), FOLD_BATCH))
    return sum(map(_fold, batches))


def _fold(contexts: list[str]) -> int:
    with transaction.atomic():
        return fold_calls(contexts)


def _batches_of_contexts() -> Iterator[list[str]]:
    """All contexts that records name, in order, a batch at a time."""
    last = ""
    while True:
        rows = Record.objects.filter(context__gt=last).order_by("context")
        batch = list(rows.values_list("context", flat=True).distinct()[:FOLD_BATCH])
        if not batch:
            return
        yield batch
        last = batch[-1]
