"""Configuration of the location app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LocationConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.location"
    verbose_name = _("Location")
