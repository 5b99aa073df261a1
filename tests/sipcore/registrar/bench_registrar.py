"""What a refresh costs. Not collected by default: `pytest tests/sipcore/registrar/bench_registrar.py`."""

from __future__ import annotations

import time

import pytest

from sipcore.message import Request, parse_message
from sipcore.registrar import Write, answer, process
from sipcore.transport.flow import Flow
from tests.sipcore.registrar.harness import ANNA, AT, TCP, UDP, Node, a_register

HEADERS = [
    ("User-Agent", "baresip v1.0.0 (x86_64/linux)"),
    ("Expires", "3600"),
    ("Max-Forwards", "70"),
    ("Supported", "gruu, outbound, path"),
    ("Content-Length", "0"),
]


def received(cseq: int) -> Request:
    """A refresh as it arrives, with what a worker has looked at before the registrar does."""
    contact = "<sip:anna@192.0.2.7:5060;transport=udp>"
    request = parse_message(a_register(contact, cseq=cseq, headers=HEADERS).to_bytes())
    assert isinstance(request, Request)
    assert request.to.uri.host
    assert request.branch
    return request


@pytest.mark.bench
@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_refresh_is_processed_and_answered_in_60_microseconds(flow: Flow) -> None:
    node = Node()
    requests = [received(cseq) for cseq in range(1, 3001)]
    node.register(requests[0], flow)
    best = float("inf")
    for start in range(1, len(requests), 50):
        chunk = requests[start : start + 50]
        spent = 0.0
        for request in chunk:
            held, version = node.bindings(), node.table.version(ANNA.id)
            began = time.process_time()
            outcome = process(
                request, ANNA, ANNA.devices[0], flow, held, version, AT, node.policy, "n1"
            )
            spent += time.process_time() - began
            assert isinstance(outcome, Write)
            assert outcome.change.touches
            node.table.apply(outcome.change)
            held = node.bindings()
            began = time.process_time()
            answer(request, held, AT, node.policy)
            spent += time.process_time() - began
        best = min(best, spent / len(chunk))
    assert best * 1e6 < 60
