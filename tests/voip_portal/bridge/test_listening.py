"""Where sipd listens: what the machine has, as it was told, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from django.core.management.base import CommandError

from tests.voip_portal.bridge.daemon import ROOT
from voip_portal.bridge.listening import advertised_as, listen_hosts

ELSEWHERE = "192.0.2.77"
"""Of a network for documentation: no machine has it (RFC 5737)."""


@pytest.mark.parametrize(
    ("named", "advertised", "hosts"),
    [
        ([], "127.0.0.1", ["127.0.0.1", "::1"]),
        ([], "127.0.0.3", ["127.0.0.3"]),
        (["127.0.0.2"], ELSEWHERE, ["127.0.0.2"]),
        (["127.0.0.2", "[::1]"], "sip.campus.example", ["127.0.0.2", "::1"]),
    ],
)
def test_a_node_listens_where_it_was_told(
    named: Sequence[str], advertised: str, hosts: list[str]
) -> None:
    assert sorted(listen_hosts(named, advertised)) == sorted(hosts)


@pytest.mark.parametrize(
    ("named", "advertised", "why"),
    [
        ([], ELSEWHERE, f"VOIP_ADVERTISE: {ELSEWHERE} is no address of this machine"),
        ([], "no.such.name.invalid", "the name no.such.name.invalid has no address in the DNS"),
        ([ELSEWHERE], "127.0.0.1", f"VOIP_LISTEN: {ELSEWHERE} is no address of this machine"),
        (["127.0.0.1", ELSEWHERE], "127.0.0.1", f"VOIP_LISTEN: {ELSEWHERE} is no address of"),
        (["0.0.0.0"], "127.0.0.1", "VOIP_LISTEN: 0.0.0.0 is no address to listen on"),  # noqa: S104
        (["eth0"], "127.0.0.1", "VOIP_LISTEN: eth0 is no address to listen on"),
    ],
)
def test_a_node_that_would_listen_nowhere_says_what_to_change(
    named: Sequence[str], advertised: str, why: str
) -> None:
    with pytest.raises(CommandError) as told:
        listen_hosts(named, advertised)
    assert why in str(told.value)


@pytest.mark.parametrize(
    ("hosts", "advertised", "is_named", "told"),
    [
        (["127.0.0.1", "::1"], "127.0.0.1", False, ["127.0.0.1", "::1"]),
        (["10.0.0.5"], ELSEWHERE, True, [ELSEWHERE]),
        (["10.0.0.5", "2001:db8::5"], ELSEWHERE, True, [ELSEWHERE, "2001:db8::5"]),
        (["10.0.0.5", "2001:db8::5"], "sip.campus.example", True, ["sip.campus.example"] * 2),
    ],
)
def test_others_are_told_the_outer_address(
    hosts: list[str], advertised: str, is_named: bool, told: list[str]
) -> None:
    assert list(advertised_as(hosts, advertised, is_named=is_named).values()) == told


def test_sipd_ends_with_a_sentence_where_it_has_nothing_to_listen_on() -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "sipd"],
        cwd=ROOT,
        env=os.environ | {"VOIP_ADVERTISE": ELSEWHERE},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    [sentence] = ended.stderr.splitlines()
    assert sentence.endswith("name the machine's own address: VOIP_LISTEN=10.0.0.5")
