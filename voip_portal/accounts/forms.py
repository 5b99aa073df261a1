"""Sign-up: a campus address, a password, and the name that fellow students see."""

from __future__ import annotations

import re
from typing import Any, Final

from allauth.account import forms as allauth_forms
from django import forms
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from voip_portal.accounts import signing_up
from voip_portal.accounts.adapter import is_campus_address
from voip_portal.accounts.models import User
from voip_portal.accounts.text import NameField, visible

_PLAIN: Final = re.compile(r"[a-z0-9._'-]+", re.ASCII | re.IGNORECASE)
"""What is before the @. Mail servers read more out of other signs: `"anna"@` is anna's mailbox (RFC
5321 §4.1.2), and `anna%elsewhere@` may be passed on to another server."""


def check_campus_address(email: str) -> None:
    """Refuse an address outside the campus, or a second spelling of one mailbox (`anna+2@`)."""
    if not is_campus_address(email):
        raise ValidationError(
            _("Use your campus e-mail address; it ends in %(domains)s."),
            code="not_campus",
            params={"domains": " / ".join(f"@{d}" for d in settings.VOIP_CAMPUS_DOMAINS)},
        )
    if "+" in email:
        raise ValidationError(_("Leave out the + and what follows it."), code="sub_address")
    if not _PLAIN.fullmatch(email.rpartition("@")[0]):
        raise ValidationError(
            _("Before the @ use only letters a to z, digits, and . _ - '"), code="not_plain"
        )


class SignupForm(allauth_forms.SignupForm):
    """The sign-up page's form. A known and an unknown address take the same way and time."""

    name = NameField(
        label=_("Your name"),
        max_length=100,
        validators=[visible],
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    account_already_exists: bool
    field_order = ("name", "email", "password1")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("Campus e-mail address")
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)

    def clean_email(self) -> str:
        check_campus_address(self.cleaned_data["email"])
        return str(super().clean_email())

    def validate_unique_email(self, value: str) -> str:
        email = str(super().validate_unique_email(value))
        if self.account_already_exists and signing_up.unconfirmed(email):
            self.account_already_exists = False
        return email

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        # Not in a transaction: a password hash takes longer than a write lock may be held. A known
        # address costs one, too.
        password_hash = make_password(self.cleaned_data["password1"])
        email = self.cleaned_data["email"]
        if not self.account_already_exists:
            user = signing_up.ensure_unconfirmed(email)
            if user is not None:
                name = " ".join(self.cleaned_data["name"].split())
                signing_up.keep(request, email, name, get_language() or "", password_hash)
                return user, None
            self.account_already_exists = True  # confirmed at the same moment in another window
        saved: tuple[User | None, HttpResponse | None] = super().try_save(request)
        return saved


class LoginForm(allauth_forms.LoginForm):
    """Log-in by e-mail and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("E-mail address")
        for name in ("login", "password"):
            self.fields[name].widget.attrs.pop("placeholder", None)
        self.fields["password"].help_text = ""
