"""Django's entry for this app."""

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    """The student's pages."""

    name = "voip_portal.portal"
    verbose_name = _("Portal")

    def ready(self) -> None:
        from voip_portal.portal.checks import check_https, check_proxies

        register(check_https, Tags.security)
        register(check_proxies, Tags.security)
