"""Configuration of the changes app."""

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class ChangesConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.changes"
    verbose_name = _("Changes")

    def ready(self) -> None:
        from voip_portal.changes import triggers
        from voip_portal.changes.base_admin import check_admins
        from voip_portal.changes.models import Change
        from voip_portal.changes.services import title

        # In the reader's words: those are for `services` to find, which reads the model.
        Change.add_to_class("__str__", title)
        connection_created.connect(triggers.prepare_connection)
        pre_migrate.connect(triggers.before_migrate, sender=self)
        post_migrate.connect(triggers.after_migrate, sender=self)
        register(triggers.check_triggers, Tags.database)
        register(check_admins, Tags.admin)
