"""Staff roles: groups with fixed permissions, put right after every `migrate`.

Operators run the service; the help desk looks after people's calls and devices and touches neither
rules nor numbers; auditors read. No role can see a secret, because nothing shows one.
"""

from __future__ import annotations

from typing import Any, Final

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission
from django.utils.translation import gettext_lazy as _

VIEW: Final = ("view",)
EDIT: Final = ("view", "add", "change", "delete")
ALL_MODELS: Final = "*"

Rules = dict[str, dict[str, tuple[str, ...]]]
"""App label → model name (or `*`) → actions."""

READ_EVERYTHING: Final[Rules] = {
    app: {ALL_MODELS: VIEW}
    for app in (
        "changes",
        "accounts",
        "lines",
        "numbers",
        "location",
        "calls",
        "nodes",
        "peers",
        "hours",
    )
}
ROLES: Final[dict[str, Rules]] = {
    "operator": READ_EVERYTHING
    | {
        "accounts": {"user": ("view", "add", "change")},
        "lines": {"line": ("view", "change"), "device": ("view", "change")},
        "numbers": {"domain": EDIT, "numberrange": EDIT, "address": EDIT},
        "peers": {
            "trustedpeer": EDIT,
            "edge": EDIT,
            "opennetwork": EDIT,
            "numberlookup": EDIT,
        },
        "hours": {"openinghours": EDIT},
    },
    "help desk": {
        "accounts": {"user": VIEW},
        "lines": {"line": ("view", "change"), "device": ("view", "change")},
        "numbers": {"address": VIEW},
        "location": {ALL_MODELS: VIEW},
        "calls": {"call": VIEW},
        "nodes": {"node": VIEW},
    },
    "auditor": READ_EVERYTHING,
}


CALLED: Final = {
    "operator": _("operator"),
    "help desk": _("help desk"),
    "auditor": _("auditor"),
}
"""Roles as people read them."""


def called(name: str) -> str:
    """A role in the reader's language."""
    return str(CALLED.get(name, name))


MAY: Final = {
    "add": _("may add"),
    "change": _("may change"),
    "delete": _("may delete"),
    "view": _("may view"),
}
"""What a right allows, by the beginning of its code name."""


def right(permission: Permission) -> str:
    """A right in the reader's language."""
    kind = permission.content_type
    may = MAY.get(permission.codename.partition("_")[0], permission.name)
    return f"{kind} | {may}"


def speak_the_readers_language() -> None:
    """Have the rows of Django's own tables be called so wherever the admin names them."""
    Group.add_to_class("__str__", lambda group: called(group.name))
    Permission.add_to_class("__str__", right)
    given = Group.permissions.through
    given._meta.verbose_name = _("right of a role")
    given._meta.verbose_name_plural = _("rights of a role")
    given.add_to_class("__str__", lambda row: str(row.permission))


AT_ONCE: Final = 20
"""Rows that an action may reach, for staff who are neither operators nor administrators."""


def most_at_once(user: Any) -> int | None:
    """How many rows one action of this member of staff may reach; None: any number."""
    if user.is_superuser or user.groups.filter(name="operator").exists():
        return None
    return AT_ONCE


def grant(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Give the roles what they may do in the app whose permissions were just made."""
    if sender.label not in READ_EVERYTHING or using != "default":
        return
    for role, rules in ROLES.items():
        group, _created = Group.objects.using(using).get_or_create(name=role)
        wanted = _permissions(sender.label, rules.get(sender.label, {}), using)
        present = group.permissions.filter(content_type__app_label=sender.label)
        group.permissions.remove(*present.exclude(pk__in=[p.pk for p in wanted]))
        group.permissions.add(*wanted)


def _permissions(label: str, models: dict[str, tuple[str, ...]], using: str) -> list[Permission]:
    everything = Permission.objects.using(using).filter(content_type__app_label=label)
    return [
        permission
        for permission in everything.select_related("content_type")
        if permission.codename.partition("_")[0]
        in models.get(permission.content_type.model, models.get(ALL_MODELS, ()))
    ]
