"""Django's entry for this app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    """The student's pages."""

    name = "voip_portal.portal"
    verbose_name = _("Portal")
