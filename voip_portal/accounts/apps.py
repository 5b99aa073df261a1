"""Django's entry for this app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """People and their log-in."""

    name = "voip_portal.accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        from allauth.account.signals import email_confirmed

        from voip_portal.accounts import known_browser
        from voip_portal.accounts.roles import grant, speak_the_readers_language
        from voip_portal.accounts.signing_up import confirmed

        email_confirmed.connect(confirmed, dispatch_uid="voip_portal.accounts.signing_up")
        known_browser.connect()
        speak_the_readers_language()
        post_migrate.connect(grant, dispatch_uid="voip_portal.accounts.roles")
