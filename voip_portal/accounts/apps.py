"""Django's entry for this app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """People and their log-in."""

    name = "voip_portal.accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        from voip_portal.accounts.roles import grant

        post_migrate.connect(grant, dispatch_uid="voip_portal.accounts.roles")
