"""What allauth asks this project."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from typing import Any, Final

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as allauth_context
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from voip_portal.accounts import throttle
from voip_portal.accounts.models import User
from voip_portal.accounts.services import save_only
from voip_portal.accounts.waits import with_wait

logger = logging.getLogger(__name__)

TO_TYPED_ADDRESSES: Final = frozenset(
    f"account/email/{name}"
    for name in (
        "email_confirmation",
        "email_confirmation_signup",
        "account_already_exists",
        "password_reset_code",
        "unknown_account",
    )
)
"""Mails that anybody can have sent to anybody."""


def is_campus_address(email: str) -> bool:
    """Whether a mailbox is in one of the campus domains."""
    return email.lower().rpartition("@")[2] in settings.VOIP_CAMPUS_DOMAINS


class CampusAdapter(DefaultAccountAdapter):
    """Sends people to the page they need next, and counts what they try."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "too_many_login_attempts": _(
            "Too many failed log-ins. Wait a few minutes, or choose “Forgot the password?”: with a new "
            "password you get in at once."
        ),
    }

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

    def login(self, request: HttpRequest, user: User) -> None:
        """A session is bound to the password, which a confirmed sign-up has only just got."""
        user.refresh_from_db()
        super().login(request, user)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count in our own way: allauth's has anybody lock anybody out."""
        taken = throttle.take_try(request, str(credentials.get("email", "")))
        if taken is None:
            raise self.validation_error("too_many_login_attempts")
        self._login_failed_rl_usage = taken

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **_: Any) -> None:
        """Nothing to do: wrong tries count against the password that they were tried on."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send, but tell strangers' mailboxes nothing: anyone can type any address."""
        request = allauth_context.request
        if template_prefix in TO_TYPED_ADDRESSES and not throttle.take_code(request, email):
            wait = throttle.wait_for_code(request, email)
            page = render(request, "account/too_many_codes.html", {"wait": wait}, status=429)
            raise ImmediateHttpResponse(with_wait(page, wait))
        unknown = template_prefix == "account/email/unknown_account"
        if not unknown or is_campus_address(email):
            try:
                super().send_mail(template_prefix, email, context)
            except (OSError, SMTPException) as error:
                # Its text may hold the address.
                logger.error("%s could not be sent: %s", template_prefix, type(error).__name__)
                if template_prefix in TO_TYPED_ADDRESSES:
                    page = render(request, "account/mail_not_sent.html", status=503)
                    raise ImmediateHttpResponse(page) from None
                # Else it tells of what is done already, such as a new password.
