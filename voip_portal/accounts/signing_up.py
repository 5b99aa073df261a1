"""What somebody typed who signs up stays with their browser until the address is theirs.

The row of an unconfirmed account has the address and nothing else: no name, no language, no
password. So whoever signs up with an address of somebody else leaves nothing there, and does not keep
the owner from signing up either: each browser gets a code of its own, and the one that knows its code
brings along what was typed there.
"""

from __future__ import annotations

from typing import Any, Final

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from voip_portal.accounts.models import User
from voip_portal.accounts.services import locked

SESSION_KEY: Final = "signing_up"


def keep(request: HttpRequest, email: str, name: str, language: str, password_hash: str) -> None:
    """Until the code is typed in this browser."""
    request.session[SESSION_KEY] = {
        "email": email,
        "name": name,
        "language": language,
        "password": password_hash,
    }


def choose_language(request: HttpRequest, code: str) -> None:
    """Whoever is signing up in this browser reads another language from now on."""
    if typed := request.session.get(SESSION_KEY):
        request.session[SESSION_KEY] = {**typed, "language": code}


def unconfirmed(email: str) -> User | None:
    """The account of an address that nobody has proved to have; staff's own additions are not such."""
    user = User.objects.filter(
        email=email, last_login=None, closed_at=None, is_active=True, is_staff=False
    ).first()
    verified = EmailAddress.objects.filter(user=user).values_list("verified", flat=True)
    return user if user is not None and list(verified) == [False] else None


def ensure_unconfirmed(email: str) -> User | None:
    """The row for an address that is to be confirmed; None when it has just been."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(email)
            EmailAddress.objects.create(user=user, email=email, verified=False, primary=True)
    except IntegrityError:  # there already, or since a moment ago
        return unconfirmed(email)
    return user


def confirmed(request: HttpRequest, email_address: EmailAddress, **_: Any) -> None:
    """Signal: the address is theirs. Who proved it by asking for a password has typed no name."""
    typed = request.session.pop(SESSION_KEY, None) or {}
    if typed.get("email") != email_address.email:
        typed = {}
    with transaction.atomic():
        user = locked(email_address.user)
        if user.last_login is not None or user.closed_at is not None:
            return
        user.name = typed.get("name", "")
        user.language = typed.get("language", "")
        user.password = typed.get("password") or make_password(None)
        user.save(update_fields=["name", "language", "password"])
