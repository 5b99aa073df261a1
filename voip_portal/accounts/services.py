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


def locked(user: User) -> User:
    """The person as she is now; nobody else writes her row until this transaction ends.

    Rows that refer to her may be written meanwhile, such as the admin's history.
    """
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def fold_names() -> int:
    """Make names found that were written around us: by psql, or by an older release; how many."""
    unfolded = User.objects.exclude(name="").filter(name_folded="")
    for user in unfolded:
        # Not if she has just given herself another one.
        User.objects.filter(pk=user.pk, name=user.name).update(name=user.name)
    return len(unfolded)


def save_only(user: User, *columns: str) -> None:
    """Write these columns and no others: the rest of `user` was read earlier and may be outdated.

    Nothing is written into an account that was closed since then.
    """
    with transaction.atomic():
        if locked(user).closed_at is None:
            user.save(update_fields=columns)


def anonymise(user: User) -> None:
    """Forget who this was: the row stays, because lines refer to it; nothing personal does.

    The mailbox may sign up again later, and is then somebody new.
    """
    with transaction.atomic():
        row = locked(user)
        was, closed = row.email, f"closed-{row.pk}@invalid"
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(User), object_id=str(row.pk)
        ).update(object_repr="")
        EmailAddress.objects.filter(user=row).delete()
        row.email = closed
        row.name = ""
        row.listed = row.is_active = row.is_staff = row.is_superuser = False
        row.language = row.timezone = ""
        row.closed_at = timezone.now()
        row.set_unusable_password()
        row.save()
        row.groups.clear()
        row.user_permissions.clear()
        end_sessions(row)
        # Last: what was just written is hers, too.
        Change.objects.filter(actor=was).update(actor=closed, source="")
    user.refresh_from_db()


def ensure_administrator(email: str) -> str | None:
    """Make the first administrator; returns the password, once, or None when there is one already."""
    with transaction.atomic():
        if User.objects.filter(is_superuser=True).exists():
            return None
        password = secrets.token_urlsafe(12)
        user = User.objects.create_superuser(email, password, name="Administrator")
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return password
