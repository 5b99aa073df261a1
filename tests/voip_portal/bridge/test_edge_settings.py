"""What an operator may write of other registrars and networks, and what he is told of mistakes."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from voip_portal.bridge.management.commands.sipd import (
    edge_domains,
    enum_suffix,
    open_networks,
    service_route,
    trusted_peers,
)
from voip_portal.numbers.models import Domain


@pytest.mark.django_db
def test_domains_are_led_to_their_registrars() -> None:
    words = ["Other.example=sip:192.0.2.9:5060", "third.example=sips:sip.third.example"]
    assert edge_domains(words) == {
        "other.example": "sip:192.0.2.9:5060",
        "third.example": "sips:sip.third.example",
    }
    assert edge_domains([]) == {}


@pytest.mark.django_db
@pytest.mark.parametrize("word", ["other.example", "=sip:a", "a.example=tel:1", "a.example=<sip:b>"])
def test_what_leads_nowhere_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(CommandError, match=r"VOIP_EDGE_FOR.*write other\.example=sip:192"):
        edge_domains([word])


@pytest.mark.django_db
def test_a_domain_of_our_own_has_no_other_registrar() -> None:
    Domain.objects.create(name="campus.test")
    with pytest.raises(CommandError, match="our own"):
        edge_domains(["Campus.test=sip:192.0.2.9"])


def test_a_service_route_needs_lr() -> None:
    assert service_route(["sip:sip.example.org;lr"]) == ["<sip:sip.example.org;lr>"]
    with pytest.raises(CommandError, match="VOIP_SERVICE_ROUTE"):
        service_route(["sip:sip.example.org"])


def test_networks_are_written_as_networks() -> None:
    assert open_networks(["10.1.0.0/16", "192.168.7.2"]) == ["10.1.0.0/16", "192.168.7.2"]
    for word in ("10.1.2.3/16", "pbx.campus.example", "10.0.0.0/33"):
        with pytest.raises(CommandError, match=r"VOIP_OPEN_NETWORKS.*write 10"):
            open_networks([word])


def test_trusted_peers_are_domains() -> None:
    assert trusted_peers(["PBX.campus.example", "gw.example.org."]) == [
        "pbx.campus.example",
        "gw.example.org",
    ]
    for word in ("sip:pbx.example", "10.0.0.9", "*.example", "pbx.example:5061", "a@b", "[::1]", ".", "a..b"):
        with pytest.raises(CommandError, match=r"VOIP_TRUSTED_PEERS.*write pbx"):
            trusted_peers([word])


def test_numbers_are_looked_up_below_a_domain() -> None:
    assert [enum_suffix(word) for word in ("", "E164.arpa", "nrenum.net.")] == [
        "",
        "e164.arpa",
        "nrenum.net",
    ]
    for word in ("sip:e164.arpa", "192.0.2.1", "e164.arpa/x", ".", ".."):
        with pytest.raises(CommandError, match=r"VOIP_ENUM.*write e164"):
            enum_suffix(word)
