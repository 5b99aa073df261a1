"""Embedded, bindings have an SQLite file of their own, so that they never wait for the portal."""

from __future__ import annotations

from typing import Any

from django.conf import settings

APP = "location"
ALIAS = "bindings"


class BindingsRouter:
    """Sends the location app to the alias `bindings` where there is one."""

    def _alias(self, label: str) -> str | None:
        return ALIAS if label == APP and ALIAS in settings.DATABASES else None

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self._alias(model._meta.app_label)

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self._alias(model._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if ALIAS not in settings.DATABASES:
            return None
        return (db == ALIAS) == (app_label == APP)
