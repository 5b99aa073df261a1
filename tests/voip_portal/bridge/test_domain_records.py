"""One domain: what pages show, what phones are told, and what the DNS leads to us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from tests.support.nsd import Nsd
from tests.support.ports import free_port
from tests.voip_portal.bridge.test_service_names import told
from voip_portal.lines.models import Device
from voip_portal.nodes import domain_records
from voip_portal.numbers.models import Domain
from voip_portal.portal.tasks import look_up_domain

pytestmark = pytest.mark.django_db(databases="__all__")

RECORDS = [
    'campus.example. IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.campus.example.',
    "_sips._tcp.campus.example. IN SRV 0 10 5061 sip.campus.example.",
    'campus.example. IN NAPTR 20 10 "s" "SIP+D2T" "" _sip._tcp.campus.example.',
    "_sip._tcp.campus.example. IN SRV 0 10 5060 sip.campus.example.",
    'campus.example. IN NAPTR 30 10 "s" "SIP+D2U" "" _sip._udp.campus.example.',
    "_sip._udp.campus.example. IN SRV 0 10 5060 sip.campus.example.",
    "sip.campus.example. IN A 192.0.2.7",
]
"""For a server at 192.0.2.7, with the usual ports."""


@pytest.fixture(autouse=True)
def advertised(settings: Any) -> Any:
    settings.VOIP_ADVERTISE, settings.VOIP_SIP_PORT, settings.VOIP_TLS_PORT = "192.0.2.7", 5060, 5061
    cache.delete(domain_records.KEY)
    yield settings
    cache.delete(domain_records.KEY)


def served(folder: Path, settings: Any, *records: str) -> Nsd:
    nsd = Nsd(folder, {"campus.example": "\n".join(records) or "x IN A 192.0.2.1"})
    settings.VOIP_DNS = [f"127.0.0.1:{nsd.port}"]
    return nsd


def shown(client: Client, device: Device) -> set[bool]:
    """Whether home, set-up page and help show the domain, and nothing else in its place."""
    user = device.line.username
    pages = {
        "/": f"{user}@%s<",
        f"/devices/{device.pk}/": 'id="v-server">%s<',
        "/help/": 'class="mono">%s<',
    }
    found = set()
    for path, form in pages.items():
        page = client.get(path).content.decode()
        has = [form % place in page for place in ("campus.example", "192.0.2.7")]
        assert sorted(has) == [False, True], path
        found.add(has[0])
    return found


def test_what_the_dns_lacks_is_said_and_pages_show_the_server_itself(
    domain: Domain, annas_device: Device, as_user: Any, admin_client: Client, settings: Any, tmp_path: Path
) -> None:
    anna = as_user(annas_device.line.owner)
    assert shown(anna, annas_device) == {False}
    with served(tmp_path / "nsd", settings):
        words = told()
        look_up_domain()
    assert "The domain campus.example does not lead to this server (192.0.2.7)" in words
    assert " · ".join(RECORDS) in words
    page = admin_client.get("/admin/").content.decode().replace("&quot;", '"')
    assert all(record in page for record in RECORDS)
    assert shown(anna, annas_device) == {False}


def test_with_those_records_all_show_the_domain(
    domain: Domain, annas_device: Device, as_user: Any, admin_client: Client, settings: Any, tmp_path: Path
) -> None:
    with served(tmp_path / "nsd", settings, *RECORDS):
        assert "bridge.W002" not in told()
        look_up_domain()
    assert shown(as_user(annas_device.line.owner), annas_device) == {True}
    assert "does not lead to this server" not in admin_client.get("/admin/").content.decode()
    # It has moved, and nobody has looked yet.
    assert domain_records.last_found("192.0.2.8") is None


@pytest.mark.parametrize(
    ("records", "leads", "missing"),
    [
        (["@ IN A 192.0.2.7"], True, RECORDS[:6]),
        (["@ IN A 192.0.2.8"], False, RECORDS),
        ([*RECORDS[:6], "sip IN A 192.0.2.8"], False, [RECORDS[i] for i in (1, 3, 5, 6)]),
        ([r.replace(" 5060 ", " 5070 ") for r in RECORDS], False, [RECORDS[3], RECORDS[5]]),
        (RECORDS[1:], True, RECORDS[:1]),
    ],
    ids=["an address alone", "another's", "another's target", "another port", "no NAPTR of TLS"],
)
def test_what_leads_here_and_what_does_not(
    db: Any, settings: Any, tmp_path: Path, records: list[str], leads: bool, missing: list[str]
) -> None:
    with served(tmp_path / "nsd", settings, *records):
        found = domain_records.look("campus.example", domain_records.by_dns())
    assert (found.leads_here, list(found.missing)) == (leads, missing)


def test_a_dns_that_says_nothing_changes_nothing_and_check_says_so(
    domain: Domain, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path / "nsd", settings, *RECORDS):
        look_up_domain()
    settings.VOIP_DNS = [f"127.0.0.1:{free_port()}"]
    monkeypatch.setattr(domain_records, "ANSWER_S", 0.2)
    look_up_domain()
    found = domain_records.last_found("192.0.2.7")
    assert found is not None
    assert found.leads_here
    assert "The DNS does not say whether campus.example leads to this server" in told()
