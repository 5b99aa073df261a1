"""Django's entry for this app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HoursConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.hours"
    verbose_name = _("Opening hours")
