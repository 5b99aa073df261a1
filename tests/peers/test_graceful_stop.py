"""SIGTERM to the real daemon, as every update sends it; phones over real sockets."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.calls import expect_record, ring, talk
from tests.support.campus import Campus
from tests.support.ua import Agent

pytestmark = pytest.mark.peers


@pytest.fixture
def own_campus(prepared: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """A daemon that lets what rings be answered for a while."""
    settings = {"VOIP_STOP_WAIT_S": "2"}
    with prepared.copy(tmp_path_factory.mktemp("stop"), settings).start_sipd() as campus:
        yield campus


@pytest.fixture
def phones(own_campus: Campus) -> Iterator[list[Agent]]:
    """Phones that have registered, by turns over UDP and TCP."""
    kinds = ("UDP", "UDP", "TCP", "TCP")
    made = [own_campus.phone(own_campus.line(), transport=kind) for kind in kinds]
    yield [phone.registered() for phone in made]
    for phone in made:
        phone.close()


def sipd_of(campus: Campus) -> subprocess.Popen[bytes]:
    [process] = campus._processes
    return process


def test_what_rings_is_ended_and_what_was_answered_goes_on_with_the_next_daemon(
    own_campus: Campus, phones: list[Agent]
) -> None:
    campus, (anna, bob, clara, dora) = own_campus, phones
    talking, hers, _ = talk(campus, anna, bob)
    ringing, called = ring(campus, clara, dora)

    process = sipd_of(campus)
    process.send_signal(signal.SIGTERM)
    bob.quiet(0.5)
    options = bob.request("OPTIONS", f"sip:127.0.0.1:{campus.sip_port}")
    bob.send(options)
    refused = bob.final(options)
    assert (refused.status, refused.get("Retry-After")) == (503, "5")
    assert "restarted" in called.cancelled(3).get("Reason")
    assert ringing.failed(503, 2).get("Retry-After") == "5"
    assert process.wait(3) == 0
    record = campus.record_of(ringing.call_id)
    expect_record(record, cause="terminated", ended_by="system", status=503)

    campus._processes.clear()
    campus.start_sipd()
    bye = hers.send("BYE")
    bob.accept("BYE")
    assert anna.final(bye).status == 200
    expect_record(campus.record_of(talking.call_id), cause="completed", ended_by="caller")


def test_a_second_signal_stops_at_once(own_campus: Campus, phones: list[Agent]) -> None:
    campus, (anna, bob, *_) = own_campus, phones
    ring(campus, anna, bob)
    process = sipd_of(campus)
    process.send_signal(signal.SIGTERM)
    bob.quiet(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(1.5) == 0
    campus._processes.clear()
