"""Steps for three free phones. Each step may name a value that the page shows with a copy button."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Phone:
    """A softphone that we tried, and how to set it up."""

    key: str
    system: Text
    name: str
    source: Text
    """Where to get it."""
    steps: tuple[Text, ...]


PHONES: Final = (
    Phone(
        "desktop",
        _("Computer"),
        "Linphone",
        _("linphone.org, for Windows, macOS and Linux"),
        (
            _("Start Linphone and choose “Third-party SIP account” (or “Use a SIP account”)."),
            _("Username: your user name. Password: the secret. Domain: the server."),
            _("Transport: UDP. Then “Log in”."),
        ),
    ),
    Phone(
        "android",
        _("Android"),
        "baresip",
        _("Google Play and F-Droid"),
        (
            _("Open the menu, “Accounts”, type your user name, @ and the server, and press +."),
            _(
                "Open the new account. Authentication username: your user name. Password: the secret."
            ),
            _("Switch “Register” on and save with the tick."),
        ),
    ),
    Phone(
        "ios",
        _("iPhone"),
        "Linphone",
        _("App Store"),
        (
            _("Open Linphone and choose “Use a third-party SIP account”."),
            _("Username: your user name. Password: the secret. Domain: the server."),
            _("Transport: UDP. Then “Log in”, and allow notifications and the microphone."),
        ),
    ),
)
