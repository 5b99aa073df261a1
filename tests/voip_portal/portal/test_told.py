"""What phones are told: that which a node says it serves, and the settings before any has said so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from voip_portal.nodes.domain_records import look
from voip_portal.nodes.models import Deployment, Node
from voip_portal.nodes.services import ensure_deployment
from voip_portal.portal.server import server

pytestmark = pytest.mark.django_db


def node(name: str, port: int, ago_s: float = 0, **fields: Any) -> Node:
    """A node that was heard of so long ago."""
    rows = [[t, "10.0.0.5", port, "192.0.2.9"] for t in ("UDP", "TCP")]
    rows.append(["TLS", "10.0.0.5", port + 1, "sip.example"])
    fields = {"listeners": rows, "address": "192.0.2.9", **fields}
    heard = now() - timedelta(seconds=ago_s)
    return Node.objects.create(name=name, heartbeat_at=heard, **fields)


def test_the_settings_are_told_before_any_node_has_reported(settings: Any) -> None:
    settings.VOIP_ADVERTISE, settings.VOIP_SIP_PORT = "2001:db8::5", 5070
    Node.objects.create(name="old", heartbeat_at=now())  # of a version that says nothing of it
    assert server().address == "[2001:db8::5]:5070"


def test_ports_and_name_of_a_node_come_before_the_settings() -> None:
    node("node1", 5070)
    told = server()
    assert (told.address, told.tls_port, told.transports) == ("192.0.2.9:5070", 5071, ("UDP", "TCP"))


def test_a_node_without_tls_is_told_without() -> None:
    node("node1", 5060, listeners=[["UDP", "::1", 5060, "::1"]], address="::1")
    told = server()
    assert (told.address, told.tls_port, told.transports) == ("[::1]", 0, ("UDP",))


def test_a_node_that_lives_comes_before_one_that_does_not() -> None:
    node("node1", 5070, ago_s=60)
    node("node2", 5080)
    node("node3", 5090)
    assert server().port == 5080


def test_the_records_that_the_dns_lacks_are_those_of_what_is_served() -> None:
    node("node1", 5070)
    missing = look("campus.example", lambda name, kind: []).missing
    assert "_sip._udp.campus.example. IN SRV 0 10 5070 sip.campus.example." in missing
    assert "_sips._tcp.campus.example. IN SRV 0 10 5071 sip.campus.example." in missing
    assert missing[-1] == "sip.campus.example. IN A 192.0.2.9"


def test_while_all_are_silent_the_last_one_stays_told() -> None:
    node("node1", 5070, ago_s=600)
    node("node2", 5080, ago_s=60)
    assert server().port == 5080


def test_phones_get_the_authority_of_the_deployment(client: Client) -> None:
    ensure_deployment()
    Deployment.objects.update(authority="-----BEGIN CERTIFICATE-----\n")
    told = node("node1", 5060, own_authority=True)
    assert client.get("/authority.crt").content == b"-----BEGIN CERTIFICATE-----\n"
    told.own_authority = False  # the operator has put a certificate in
    told.save()
    assert client.get("/authority.crt").status_code == 404
