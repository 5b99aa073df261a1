"""Configuration of the changes app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChangesConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.changes"
    verbose_name = _("Changes")
