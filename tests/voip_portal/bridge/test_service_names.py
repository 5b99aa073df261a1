"""Services whose name somebody has: reserved where nobody has it, said where somebody does."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tests.voip_portal.migrating import taken_back_to
from voip_portal.lines.models import Line
from voip_portal.numbers import service_names
from voip_portal.numbers.models import Address, AddressState, Domain, Kind
from voip_portal.numbers.services import SERVICE_NAMES

SHIPPED = ["after-hours", "callback", "echo"]


def told() -> str:
    out = StringIO()
    try:
        call_command("check", stdout=out, stderr=out, fail_level="WARNING")
    except CommandError as error:
        return str(error)
    return out.getvalue()


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_the_migration_reserves_all_names_and_takes_nobodys(annas_line: Line) -> None:
    domain = Domain.objects.get(is_default=True)
    other = Domain.objects.create(name="other.example")
    with taken_back_to("numbers", "0002"):
        Address.objects.filter(value__in=SHIPPED).delete()
        Address.objects.create(domain=domain, kind=Kind.NAME, value="callback", line=annas_line)
    rows = Address.objects.filter(value__in=SHIPPED).order_by("domain__pk", "value")
    assert [(a.domain, a.value, a.state, a.line) for a in rows] == [
        (domain, "after-hours", AddressState.RESERVED, None),
        (domain, "callback", AddressState.HELD, annas_line),
        (domain, "echo", AddressState.RESERVED, None),
        *[(other, name, AddressState.RESERVED, None) for name in SHIPPED],
    ]


def test_what_comes_with_us_is_what_is_reserved() -> None:
    from pathlib import Path

    from sipcore import apps

    names = set()
    for path in Path(apps.__path__[0]).glob("*.py"):
        names |= {
            line.split('"')[1] for line in path.read_text().splitlines() if line.startswith('    name = "')
        }
    assert names - {"service", "busy"} == set(SHIPPED) == set(SERVICE_NAMES)


def test_check_and_the_admin_say_whose_name_a_service_has(
    domain: Domain, annas_line: Line, admin_client: Client, settings: Any
) -> None:
    settings.VOIP_APPLICATIONS = ["sipcore.apps.echo:Echo", "sipcore.apps.callback:Callback"]
    assert service_names.held() == []
    assert "bridge.W001" not in told()
    Address.objects.update_or_create(
        domain=domain,
        value="callback",
        defaults={"kind": Kind.NAME, "line": annas_line, "state": AddressState.HELD},
    )
    whose = f"callback@{domain.name}, line {annas_line.pk} of {annas_line.owner.email}"
    assert service_names.held() == [("callback", whose)]
    assert f"The service 'callback' is not loaded: its name is taken ({whose})." in told()
    page = admin_client.get("/admin/").content.decode()
    assert f"The service callback is not loaded: its name is taken ({whose})." in page
    settings.VOIP_APPLICATIONS = ["sipcore.apps.echo:Echo"]
    assert "bridge.W001" not in told()
    assert "is not loaded" not in admin_client.get("/admin/").content.decode()


def test_a_new_domain_has_them_reserved(admin_client: Client) -> None:
    done = admin_client.post("/admin/numbers/domain/add/", {"name": "new.example", "algorithms": "SHA-256"})
    assert done.status_code == 302
    rows = Address.objects.filter(domain__name="new.example").order_by("value")
    assert [(a.value, a.state) for a in rows] == [(n, AddressState.RESERVED) for n in SHIPPED]


def test_check_says_what_to_set_where_the_system_grants_too_little_room(
    db: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = tmp_path / "rmem_max"
    monkeypatch.setattr("voip_portal.bridge.room_check.MOST", most)
    assert "bridge.W003" not in told()  # a system that does not say
    most.write_text("4194304\n")
    assert "bridge.W003" not in told()
    most.write_text("212992\n")
    assert "echo net.core.rmem_max=4194304" in told()
