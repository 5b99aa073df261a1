"""Closing an account: lines, devices, addresses, sessions and personal data, in one transaction."""

from __future__ import annotations

from django.db import transaction

from voip_portal.accounts import services as accounts
from voip_portal.accounts.models import User
from voip_portal.lines import services as lines
from voip_portal.lines.models import Line, State
from voip_portal.numbers import services as numbers


def close_account(user: User) -> None:
    """Registrations and calls end within a second; the user name is never given to anyone else.

    Call records stay with the ids of the lines until retention removes them: the other side of a
    call has a right to its own history.
    """
    with transaction.atomic():
        for line in Line.objects.filter(owner=user).exclude(state=State.CLOSING):
            lines.close_line(line)
            numbers.release(line)
        accounts.anonymise(user)
