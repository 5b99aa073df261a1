"""All changes of people, apart from allauth's own flows."""

from __future__ import annotations

import secrets

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from voip_portal.accounts.models import User
from voip_portal.changes.models import Change


def end_sessions(user: User) -> None:
    """Make every session of this person worthless."""
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])


def anonymise(user: User) -> None:
    """Forget who this was: the row stays, because lines refer to it; nothing personal does.

    The mailbox may sign up again later, and is then somebody new.
    """
    with transaction.atomic():
        closed = f"closed-{user.pk}@invalid"
        Change.objects.filter(actor=user.email).update(actor=closed)
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)
        ).update(object_repr="")
        EmailAddress.objects.filter(user=user).delete()
        user.email = closed
        user.name = ""
        user.listed = user.is_active = user.is_staff = user.is_superuser = False
        user.language = user.timezone = ""
        user.closed_at = timezone.now()
        user.set_unusable_password()
        user.save()
        user.groups.clear()
        user.user_permissions.clear()
        end_sessions(user)


def ensure_administrator(email: str) -> str | None:
    """Make the first administrator; returns the password, once, or None when there is one already."""
    with transaction.atomic():
        if User.objects.filter(is_superuser=True).exists():
            return None
        password = secrets.token_urlsafe(12)
        user = User.objects.create_superuser(email, password, name="Administrator")
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return password
