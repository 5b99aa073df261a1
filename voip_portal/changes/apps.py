"""Configuration of the changes app."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ChangesConfig(AppConfig):
    """See `models` for what is kept, `triggers` for how it gets there."""

    name = "voip_portal.changes"
    verbose_name = _("Changes")

    def ready(self) -> None:
        from voip_portal.changes import actor, checks, triggers  # noqa: F401 (registers checks)

        post_migrate.connect(triggers.after_migrate, sender=self, dispatch_uid="triggers")
        connection_created.connect(actor.watch_connection, dispatch_uid="actor")
