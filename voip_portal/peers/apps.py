"""Django's entry for this app."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class PeersConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.peers"
    verbose_name = _("Other servers")

    def ready(self) -> None:
        from voip_portal.peers.checks import check_variables

        register(check_variables, "peers")
