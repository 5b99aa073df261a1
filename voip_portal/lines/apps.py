"""Django's entry for this app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LinesConfig(AppConfig):
    """Lines and devices."""

    name = "voip_portal.lines"
    verbose_name = _("Lines")
