"""The table in docs/permissions.md is what the admin really allows."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import RequestFactory

from tests.voip_portal.people import make_person
from voip_portal.accounts.models import User

pytestmark = pytest.mark.django_db(databases="__all__")

TABLE = Path(settings.BASE_DIR) / "docs" / "permissions.md"
ROLES = ("operator", "help desk", "auditor")
ACTIONS = ("view", "add", "change", "delete")
MODELS = {
    "person": "accounts.User",
    "line": "lines.Line",
    "device": "lines.Device",
    "domain": "numbers.Domain",
    "number range": "numbers.NumberRange",
    "address": "numbers.Address",
    "registration": "location.Binding",
    "call": "calls.Call",
    "record": "calls.Record",
    "change": "changes.Change",
    "node": "nodes.Node",
    "trusted server": "peers.TrustedPeer",
    "domain of another registrar": "peers.Edge",
    "opening hours of a day": "hours.OpeningHours",
    "open network": "peers.OpenNetwork",
    "look up of numbers": "peers.NumberLookup",
}


def table() -> dict[str, list[set[str]]]:
    rows = re.findall(r"^\| ([a-z ]+) \| (.+) \|$", TABLE.read_text(), re.MULTILINE)
    return {
        name: [set(cell.split(", ")) - {"nobody"} for cell in cells.split(" | ")]
        for name, cells in rows
        if name != "model"
    }


@pytest.fixture
def staff(db: None) -> Callable[[str], User]:
    def make(role: str) -> User:
        user = make_person(role.title().replace(" ", ""), is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


def test_the_table_names_every_model() -> None:
    assert set(table()) == set(MODELS)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says(
    staff: Callable[[str], User], rf: RequestFactory, role: str
) -> None:
    request = rf.get("/admin/")
    request.user = staff(role)
    for name, cells in table().items():
        model_admin = admin.site._registry.get(apps.get_model(MODELS[name]))
        if model_admin is None:
            continue
        for action, roles in zip(ACTIONS, cells, strict=True):
            allowed = getattr(model_admin, f"has_{action}_permission")(request)
            assert allowed == (role in roles), f"{role}: {action} {name}"


def test_nobody_at_all_may_do_what_nobody_may(rf: RequestFactory, db: None) -> None:
    request = rf.get("/admin/")
    request.user = make_person("Root", is_staff=True, is_superuser=True)
    for name, cells in table().items():
        model_admin = admin.site._registry.get(apps.get_model(MODELS[name]))
        if model_admin is None:
            continue
        for action, roles in zip(ACTIONS, cells, strict=True):
            if not roles:
                assert not getattr(model_admin, f"has_{action}_permission")(request), name
