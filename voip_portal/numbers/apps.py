"""Django's entry for this app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NumbersConfig(AppConfig):
    """The numbering plan."""

    name = "voip_portal.numbers"
    verbose_name = _("Names and numbers")
