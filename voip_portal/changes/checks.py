"""System check: a trigger that is missing or differs means changes that no node hears of.

A deployment check, because `migrate`, which puts triggers back, must not be stopped by it; the
daemon runs it at every start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Warning, register
from django.db import DEFAULT_DB_ALIAS

TAG: Final = "triggers"
MIDDLEWARE: Final = "voip_portal.changes.middleware.Actor"


@register(TAG, deploy=True)
def triggers_in_place(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Compare what the database has with the registry."""
    from voip_portal.changes.triggers import faults

    if not databases or DEFAULT_DB_ALIAS not in databases:
        return []
    return [
        Error(
            f"Trigger {name} of table {table} {'is missing' if what == 'missing' else what}.",
            hint="Run `manage.py migrate`: it puts all triggers back.",
            id="changes.E001",
        )
        for table, name, what in faults()
    ]


@register()
def actor_is_known(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Without the middleware all changes would look as if made outside the portal."""
    from django.conf import settings

    if MIDDLEWARE in settings.MIDDLEWARE:
        return []
    return [
        Warning(
            "Changes made in the portal are not attributed to anybody.",
            hint=f"Add {MIDDLEWARE!r} to MIDDLEWARE, after authentication.",
            id="changes.W001",
        )
    ]
