"""Configuration of the calls app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CallsConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.calls"
    verbose_name = _("Calls")
