"""Variables that are start values: read once, into empty tables, and told of where they differ."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.core.management.base import CommandError

from voip_portal.changes.models import Change
from voip_portal.directory import words
from voip_portal.numbers.models import Domain
from voip_portal.peers.models import TrustedPeer
from voip_portal.peers.variables import VARIABLES, read_start_values

VARIABLE = {variable.name: variable for variable in VARIABLES}


def said() -> list[str]:
    return [message.msg for message in checks.run_checks(tags=["peers"])]


# (variable, what it says, the rows, the same written differently, what makes no sense)
CASES = [
    ("VOIP_TRUSTED_PEERS", ["PBX.example", "gw.example."], {("pbx.example",), ("gw.example",)}),
    ("VOIP_OPEN_NETWORKS", ["10.1.0.0/16", "192.168.7.2"], {("10.1.0.0/16",), ("192.168.7.2/32",)}),
    ("VOIP_ENUM", "E164.arpa.", {("e164.arpa",)}),
    (
        "VOIP_EDGE_FOR",
        ["Other.example=sip:192.0.2.9:5060", "third.example=sips:sip.third.example"],
        {("other.example", "sip:192.0.2.9:5060"), ("third.example", "sips:sip.third.example")},
    ),
]
EACH = pytest.mark.parametrize(("name", "value", "rows"), CASES, ids=lambda v: v if isinstance(v, str) else "")


@pytest.mark.django_db
@EACH
def test_a_variable_is_read_into_its_empty_table(
    settings: Any, name: str, value: list[str], rows: set[tuple[str, ...]]
) -> None:
    setattr(settings, name, value)
    read_start_values()
    variable = VARIABLE[name]
    assert variable.in_force == rows
    table = variable.model._meta.db_table
    changes = Change.objects.filter(table_name=table).values_list("op", "actor")
    assert list(changes) == [("insert", name)] * len(rows)
    assert said() == []


@pytest.mark.django_db
@EACH
def test_a_variable_is_read_once(
    settings: Any, name: str, value: list[str], rows: set[tuple[str, ...]]
) -> None:
    setattr(settings, name, value)
    read_start_values()
    VARIABLE[name].model._default_manager.all().delete()
    read_start_values()
    assert VARIABLE[name].in_force == set()
    setattr(settings, name, [])
    read_start_values()
    assert (VARIABLE[name].in_force, said()) == (set(), [])


@pytest.mark.django_db
def test_a_variable_is_not_read_into_a_table_that_has_rows(settings: Any) -> None:
    TrustedPeer.objects.create(domain="own.example")
    settings.VOIP_TRUSTED_PEERS = ["pbx.example"]
    read_start_values()
    assert VARIABLE["VOIP_TRUSTED_PEERS"].in_force == {("own.example",)}
    TrustedPeer.objects.all().delete()
    read_start_values()
    assert not TrustedPeer.objects.exists()


@pytest.mark.django_db
def test_a_variable_that_differs_from_the_rows_is_told(settings: Any) -> None:
    settings.VOIP_TRUSTED_PEERS = ["pbx.example", "gw.example"]
    assert said() == []  # it will be read yet
    read_start_values()
    assert said() == []
    TrustedPeer.objects.filter(domain="gw.example").update(domain="new.example")
    assert said() == [
        "VOIP_TRUSTED_PEERS is not what is in force: only the variable has gw.example; "
        "only the rows have new.example."
    ]
    settings.VOIP_TRUSTED_PEERS = ["new.example", "PBX.example"]
    assert said() == []
    settings.VOIP_TRUSTED_PEERS = ["sip:x"]
    [told] = said()
    assert "sip:x is no domain" in told


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "word", "why"),
    [
        *(
            ("VOIP_TRUSTED_PEERS", word, r"write pbx\.example")
            for word in ("sip:pbx.example", "10.0.0.9", "*.example", "pbx.example:5061", "a@b", "[::1]", ".", "a..b")
        ),
        *(
            ("VOIP_OPEN_NETWORKS", word, "write 10")
            for word in ("10.1.2.3/16", "pbx.campus.example", "10.0.0.0/33")
        ),
        *(
            ("VOIP_ENUM", word, "write e164")
            for word in ("sip:e164.arpa", "192.0.2.1", "e164.arpa/x", ".", "..")
        ),
        *(
            ("VOIP_EDGE_FOR", word, r"write other\.example=sip:192")
            for word in ("other.example", "=sip:a", "a.example=tel:1", "a.example=<sip:b>")
        ),
        ("VOIP_EDGE_FOR", "Campus.example=sip:192.0.2.9", "our own"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_read(
    settings: Any, name: str, word: str, why: str
) -> None:
    Domain.objects.create(name="campus.example")
    setattr(settings, name, [word])
    for _ in range(2):  # it is not taken for read
        with pytest.raises(CommandError, match=f"{name}: .*{why}"):
            read_start_values()
    assert VARIABLE[name].in_force == set()


def test_a_peer_is_a_domain_however_it_is_written() -> None:
    assert words.peer_domain("PBX.campus.example.") == "pbx.campus.example"
