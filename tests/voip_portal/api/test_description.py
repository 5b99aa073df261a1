"""Whatever is asked, the API answers as its description says: documented statuses and bodies only.

Requests are made by Hypothesis from the operations that the service itself describes, as students,
help desk, auditor, administrator, and as somebody who is not logged in.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from tests.voip_portal.people import make_person, reread
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.lines.models import Device, Line
from voip_portal.lines.services import add_device

pytestmark = pytest.mark.django_db(databases="__all__")

STUDENT: Final = "student"
ADMINISTRATOR: Final = "administrator"
NOBODY: Final = "not logged in"
NAMES: Final = {
    STUDENT: "Boris",
    "help desk": "Doris",
    "auditor": "Emil",
    ADMINISTRATOR: "Frida",
}
OPERATIONS: Final = (
    ("get", "/api/v1/calls/"),
    ("get", "/api/v1/devices/"),
    ("post", "/api/v1/devices/"),
    ("get", "/api/v1/devices/{id}/"),
    ("patch", "/api/v1/devices/{id}/"),
    ("delete", "/api/v1/devices/{id}/"),
)
EXAMPLES: Final = 100
SOMETHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
BODIES: Final = (
    st.fixed_dictionaries({"label": st.text(min_size=1, max_size=60)})
    | st.fixed_dictionaries({"label": SOMETHING, "id": SOMETHING, "line": SOMETHING})
    | SOMETHING
)
IDS: Final = (
    st.sampled_from(["own", "annas"])
    | st.integers().map(str)
    | st.text(st.characters(exclude_characters="/.", exclude_categories=["Cs"]), min_size=1)
)
REQUESTS: Final = st.tuples(st.sampled_from(OPERATIONS), IDS, BODIES, st.text(max_size=40))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def client_of(
    annas_device: Device, line_of: Callable[[User], Line], as_user: Callable[[User], Client]
) -> Callable[[str], tuple[Client, dict[str, str]]]:
    """A client in the role, and the ids of a device of its own and of one of Anna's."""

    def make(role: str) -> tuple[Client, dict[str, str]]:
        ids = {"own": str(annas_device.pk), "annas": str(annas_device.pk)}
        if role == NOBODY:
            return Client(raise_request_exception=False), ids
        user = make_person(NAMES[role], is_staff=role != STUDENT)
        if role == ADMINISTRATOR:
            User.objects.filter(pk=user.pk).update(is_superuser=True)
        elif role != STUDENT:
            user.groups.add(Group.objects.get(name=role))
        line = line_of(user)
        ids["own"] = str(add_device(line, "Own", "campus")[0].pk)
        Call.objects.create(
            context="mine",
            caller_line=line.pk,
            dialled="sip:echo@campus.example",
            cause="completed",
            ended_by="caller",
            started_at=line.created_at,
            open=False,
        )
        client = as_user(reread(user))
        client.raise_request_exception = False
        return client, ids

    return make


@pytest.fixture
def description(boris: User, as_user: Callable[[User], Client]) -> dict[str, Any]:
    """As the service serves it."""
    asked = {"format": "json"}
    answer = as_user(boris).get("/api/v1/schema/", asked, headers={"accept": "application/json"})
    assert answer.status_code == 200
    boris.delete()
    return dict(json.loads(answer.content))


def strict(schema: Any) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: `nullable` spelled out, unnamed properties refused."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") is True else found


def check(answer: Any, operation: dict[str, Any], components: Any) -> None:
    """The answer has a status of the operation's, and a body as described with it."""
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, (answer.status_code, answer.content[:300])
    if "content" not in described:
        assert answer.content == b""
        return
    assert answer["Content-Type"] == "application/json"
    schema = strict(described["content"]["application/json"]["schema"])
    Draft4Validator({**schema, "components": components}).validate(answer.json())


def test_the_operations_asked_are_those_described(description: dict[str, Any]) -> None:
    described = [
        (method, path) for path, item in description["paths"].items() for method in sorted(item)
    ]
    assert sorted(described) == sorted(OPERATIONS)


@pytest.mark.parametrize("role", [*NAMES, NOBODY])
def test_whatever_is_asked_is_answered_as_described(
    client_of: Callable[[str], tuple[Client, dict[str, str]]],
    description: dict[str, Any],
    annas_device: Device,
    role: str,
) -> None:
    client, ids = client_of(role)
    components = strict(description["components"])
    met: Counter[tuple[str, str, int]] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(REQUESTS)
    @example((("get", "/api/v1/devices/{id}/"), "own", None, ""))
    @example((("patch", "/api/v1/devices/{id}/"), "own", {"label": "Desk"}, ""))
    @example((("get", "/api/v1/calls/"), "own", None, ""))
    @example((("delete", "/api/v1/devices/{id}/"), "annas", None, ""))
    def ask(asked: tuple[tuple[str, str], str, Any, str]) -> None:
        (method, path), which, body, after = asked
        cache.clear()
        url = path.replace("{id}", quote(ids.get(which, which), safe=""))
        if method == "get":
            answer = client.get(url, {"after": after})
        else:
            answer = getattr(client, method)(url, json.dumps(body), "application/json")
        met[method, path, answer.status_code] += 1
        check(answer, description["paths"][path][method], components)

    ask()
    successes = {(method, path) for method, path, status in met if status < 300}
    assert successes == (set() if role == NOBODY else set(OPERATIONS))
    annas_device.refresh_from_db()
    assert (annas_device.label, annas_device.revoked_at) == ("Laptop", None)
