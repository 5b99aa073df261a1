"""Configuration of the bridge app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BridgeConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.bridge"
    verbose_name = _("Bridge")
