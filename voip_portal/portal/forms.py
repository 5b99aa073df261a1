"""Forms of the student's pages."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from voip_portal.accounts.models import User
from voip_portal.accounts.services import save_only
from voip_portal.accounts.text import NameField, visible
from voip_portal.lines import names, services
from voip_portal.lines.services import NameMalformed, NameRefused, NameTaken

NAME_ERRORS = {
    NameMalformed: _(
        "Use 3 to 32 small letters, digits, dots, dashes; begin with a letter, for example anna.berg."
    ),
    NameRefused: _("This name is kept for the service. Choose another one."),
    NameTaken: _("This name, or one that looks like it, is taken. Choose another one."),
}


class UsernameForm(forms.Form):
    """The one choice of a user name."""

    username = forms.CharField(
        label=_("User name"),
        max_length=32,
        help_text=_(
            "Others can call you by it. 3 to 32 small letters, digits, dots or dashes. "
            "It cannot be changed later."
        ),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
            }
        ),
    )

    listed = forms.ChoiceField(
        label=_("May other students find you by name, user name and number?"),
        help_text=_(
            "Only people who are logged in here can search. You can change this at any time."
        ),
        choices=[("yes", _("Yes, list me")), ("no", _("No, only those whom I tell"))],
        widget=forms.RadioSelect,
    )

    def clean_username(self) -> str:
        username = names.normalise(self.cleaned_data["username"])
        try:
            services.check_username(username)
        except services.LineError as error:
            raise ValidationError(NAME_ERRORS[type(error)]) from error
        return username


class DeviceForm(forms.Form):
    """What a device is called."""

    label = forms.CharField(
        label=_("Name of the device"),
        max_length=60,
        validators=[visible],
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class FindForm(forms.Form):
    """Find a fellow student."""

    q = forms.CharField(
        label=_("Name, user name or number"),
        min_length=2,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )


def zone_choices() -> list[tuple[str, Any]]:
    """Time zones by continent; the deployment's first."""
    default = settings.VOIP_TIME_ZONE
    zones = sorted(
        z for z in zoneinfo.available_timezones() if "/" in z and not z.startswith("Etc/")
    )
    return [
        ("", _("As here (%(zone)s)") % {"zone": default}),
        *((z, z.replace("_", " ")) for z in zones),
    ]


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a person may change about herself."""

    timezone = forms.ChoiceField(label=_("Time zone"), choices=zone_choices, required=False)
    language = forms.ChoiceField(
        label=_("Language"),
        choices=[("", _("As my browser asks")), *settings.LANGUAGES],
        required=False,
    )

    class Meta:
        model = User
        fields = ["name", "language", "timezone", "listed"]
        field_classes = {"name": NameField}
        labels = {"listed": _("Other students may find me by name")}
        help_texts = {
            "listed": _(
                "Only people who are logged in here can search. They see name, user name and number."
            )
        }
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if not name:
            raise ValidationError(_("Tell us a name."))
        return name

    def save(self, commit: bool = True) -> User:
        """Only what is on the page: the person may be suspended, or log out everywhere, meanwhile."""
        user: User = self.instance
        if commit:
            save_only(user, *self.fields)
        return user


class CloseForm(forms.Form):
    """Closing the account asks for the password."""

    password = forms.CharField(
        label=_("Your password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        if not self.user.check_password(password):
            raise ValidationError(_("This is not your password."))
        return password
