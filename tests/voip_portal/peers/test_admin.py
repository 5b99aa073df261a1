"""Other servers in the admin: what is written there counts, and what is no server is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from voip_portal.accounts.models import User
from voip_portal.changes.models import Change
from voip_portal.peers.models import TrustedPeer
from voip_portal.peers.variables import VARIABLES

pytestmark = pytest.mark.django_db(databases="__all__")
AsUser = Callable[[User], Client]
Staff = Callable[[str], User]

# (page, form, the row that counts, what is told of a form that makes no sense)
CASES: list[tuple[str, dict[str, str], tuple[str, ...], dict[str, str], str]] = [
    (
        "trustedpeer",
        {"domain": " PBX.Example. "},
        ("pbx.example",),
        {"domain": "sip:pbx.example"},
        "Enter the name of a domain, such as pbx.example.org.",
    ),
    (
        "opennetwork",
        {"network": "192.168.7.2"},
        ("192.168.7.2/32",),
        {"network": "192.168.7.2/16"},
        "Enter a network, such as 10.1.0.0/16, or an address, such as 192.168.7.2.",
    ),
    (
        "numberlookup",
        {"suffix": "E164.arpa"},
        ("e164.arpa",),
        {"suffix": "192.0.2.1"},
        "Enter the name of a domain, such as pbx.example.org.",
    ),
    (
        "edge",
        {"domain": "Other.example", "registrar": "sip:192.0.2.9"},
        ("other.example", "sip:192.0.2.9"),
        {"registrar": "192.0.2.9"},
        "Enter a SIP URI, such as sip:192.0.2.9:5060.",
    ),
]
EACH = pytest.mark.parametrize(("page", "form", "row", "wrong", "told"), CASES, ids=[c[0] for c in CASES])


def rows_of(page: str) -> set[tuple[str, ...]]:
    [variable] = [v for v in VARIABLES if v.model._meta.model_name == page]
    return variable.in_force


@EACH
def test_an_operator_adds_changes_and_removes_a_row_and_the_audit_says_who(
    staff: Staff, as_user: AsUser, page: str, form: Any, row: Any, wrong: Any, told: str
) -> None:
    operator = staff("operator")
    client = as_user(operator)
    client.post(f"/admin/peers/{page}/add/", form)
    assert rows_of(page) == {row}
    table = f"peers_{page}"
    key = Change.objects.get(table_name=table).row_key
    answer = client.post(f"/admin/peers/{page}/{key}/change/", form | wrong)
    assert told in answer.content.decode().replace("&#x27;", "'")
    assert rows_of(page) == {row}
    shown = client.get(f"/admin/peers/{page}/{key}/change/").content.decode()
    assert str(operator) in shown
    client.post(f"/admin/peers/{page}/{key}/delete/", {"post": "yes"})
    assert rows_of(page) == set()
    changes = Change.objects.filter(table_name=table).order_by("pk")
    assert list(changes.values_list("op", "actor")) == [
        ("insert", str(operator)),
        ("delete", str(operator)),
    ]


@EACH
def test_what_makes_no_sense_is_refused_with_a_sentence(
    staff: Staff, as_user: AsUser, page: str, form: Any, row: Any, wrong: Any, told: str
) -> None:
    answer = as_user(staff("operator")).post(f"/admin/peers/{page}/add/", form | wrong)
    assert told in answer.content.decode().replace("&#x27;", "'")
    assert rows_of(page) == set()


@EACH
def test_the_help_desk_sees_nothing_of_it(
    staff: Staff, as_user: AsUser, page: str, form: Any, row: Any, wrong: Any, told: str
) -> None:
    client = as_user(staff("help desk"))
    assert client.get(f"/admin/peers/{page}/").status_code == 403
    assert client.post(f"/admin/peers/{page}/add/", form).status_code == 403
    assert rows_of(page) == set()


def test_one_domain_is_trusted_once(staff: Staff, as_user: AsUser) -> None:
    client = as_user(staff("operator"))
    for domain in ("pbx.example", "PBX.example."):
        answer = client.post("/admin/peers/trustedpeer/add/", {"domain": domain})
    assert "already exists" in answer.content.decode()
    assert TrustedPeer.objects.count() == 1


def test_a_domain_of_our_own_has_no_other_registrar(staff: Staff, as_user: AsUser) -> None:
    form = {"domain": "Campus.example", "registrar": "sip:192.0.2.9"}
    answer = as_user(staff("operator")).post("/admin/peers/edge/add/", form)
    assert "This is a domain of our own." in answer.content.decode()
    assert rows_of("edge") == set()


def test_numbers_are_looked_up_below_one_domain(staff: Staff, as_user: AsUser) -> None:
    client = as_user(staff("operator"))
    client.post("/admin/peers/numberlookup/add/", {"suffix": "e164.arpa"})
    answer = client.post("/admin/peers/numberlookup/add/", {"suffix": "nrenum.net"})
    assert answer.status_code == 403
    assert rows_of("numberlookup") == {("e164.arpa",)}
