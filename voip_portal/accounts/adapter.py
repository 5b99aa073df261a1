"""What allauth asks this project."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from voip_portal.accounts.models import User
from voip_portal.accounts.services import save_only


def is_campus_address(email: str) -> bool:
    """Whether a mailbox is in one of the campus domains."""
    return email.lower().rpartition("@")[2] in settings.VOIP_CAMPUS_DOMAINS


class CampusAdapter(DefaultAccountAdapter):
    """Sends people to the page they need next."""

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        if request.user.is_staff:
            return reverse("admin:index")
        return reverse("home")

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return reverse("welcome")

    def set_password(self, user: User, password: str) -> None:
        """Hash, then write the password alone: hashing takes long enough for much to happen."""
        user.set_password(password)
        save_only(user, "password")

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """One count of wrong passwords per account; allauth's own is one per Host header, too."""
        return str(credentials.get("email", "")).lower()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send, but tell strangers' mailboxes nothing: anyone can type any address."""
        unknown = template_prefix == "account/email/unknown_account"
        if not unknown or is_campus_address(email):
            super().send_mail(template_prefix, email, context)
