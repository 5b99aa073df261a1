"""Closing an account: lines, devices, addresses, sessions and personal data, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from voip_portal.accounts import services as accounts
from voip_portal.accounts.models import User
from voip_portal.changes import retention
from voip_portal.lines import services as lines
from voip_portal.lines.models import Device, Line, State
from voip_portal.numbers import services as numbers
from voip_portal.numbers.models import Address, Kind

SETTLED: Final = timedelta(days=1)
"""By then every node has read a change."""


def close_account(user: User) -> None:
    """Registrations and calls end within a second; the user name is never given to anyone else.

    Call records stay with the ids of the lines until retention removes them: the other side of a
    call has a right to its own history. The user name stays in its line and as a reserved address,
    so that nobody gets it; the history of changes forgets it.
    """
    with transaction.atomic():
        accounts.locked(user)  # a line that is being opened is there when this returns
        for line in Line.objects.filter(owner=user).exclude(state=State.CLOSING):
            lines.close_line(line)
            numbers.release(line)
        accounts.anonymise(user)
        _forget(Line.objects.filter(owner=user).values_list("pk", flat=True))
        retention.forget_values(User._meta.db_table, [user.pk], ("email", "name"))


def forget_closed(at: datetime | None = None) -> None:
    """What closing could not take out of the history of changes yet: addresses, once they are settled.

    A node takes an address out of force by its value in the row; without it, it has to read everything.
    """
    _forget_in_log(User, User.objects.exclude(closed_at=None).values_list("pk", flat=True))
    people = User.objects.exclude(closed_at=None).values_list("pk", flat=True)
    retention.forget_values(User._meta.db_table, people, ("email", "name"))
    closed = Line.objects.filter(state=State.CLOSING, owner__closed_at__isnull=False)
    _forget(closed.values_list("pk", flat=True))
    names = Address.objects.filter(kind=Kind.NAME, line=None, value__in=closed.values("username"))
    settled = (at or timezone.now()) - SETTLED
    keys = names.values_list("pk", flat=True)
    retention.forget_values("numbers_address", keys, ("value",), before=settled)


def _forget(line_ids: Iterable[int]) -> None:
    """What a node does not need of lines and devices, in the histories of changes and of the admin."""
    line_keys = list(line_ids)
    devices = Device.objects.filter(line__in=line_keys)
    device_keys = list(devices.values_list("pk", flat=True))
    for model, keys, columns in (
        (Line, line_keys, ("username", "label")),
        (Device, device_keys, ("label",)),
    ):
        retention.forget_values(model._meta.db_table, keys, columns)
        _forget_in_log(model, keys)


def _forget_in_log(model: type[Model], keys: Iterable[int]) -> None:
    """The admin's history notes what a row was called, be it while its account was being closed."""
    named = LogEntry.objects.exclude(object_repr="").filter(
        content_type=ContentType.objects.get_for_model(model)
    )
    gone = {str(key) for key in keys}
    for pk, object_id in named.values_list("pk", "object_id"):
        if object_id in gone:
            LogEntry.objects.filter(pk=pk).update(object_repr="")


def forget_old_changes(at: datetime | None = None) -> int:
    """Delete changes older than the configured days; how many."""
    kept = timedelta(days=settings.VOIP_KEEP_DAYS)
    return retention.forget_old((at or timezone.now()) - kept)
