"""MESSAGE and OPTIONS between phones, to echo, and to the service itself."""

from __future__ import annotations

import pytest

from tests.support.calls import Phones, pair
from tests.support.campus import Campus
from tests.support.ua import Agent

pytestmark = pytest.mark.peers

TEXT = [("Content-Type", "text/plain;charset=utf-8")]


@pytest.mark.rfc("MSG-03")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_message_arrives_and_its_answer_comes_back(
    campus: Campus, phone: Phones, transport: str
) -> None:
    sender, receiver, *_ = pair(campus, phone, transport=transport)
    body = "Hej, är du där?".encode()
    request = sender.request("MESSAGE", campus.uri(receiver.user), headers=TEXT, body=body)
    sender.send(request)
    request = sender.authorized(request, sender.final(request))
    sender.send(request)
    received = receiver.expect("MESSAGE")
    assert received.body == body
    assert received.rows("Record-Route") == []
    receiver.respond(received, 202, "Accepted")
    assert sender.final(request).status == 202


def test_message_to_echo_comes_back(campus: Campus, phone: Phones) -> None:
    sender = phone().registered()
    body = b"anybody there?"
    request = sender.request("MESSAGE", campus.uri("echo"), headers=TEXT, body=body)
    assert sender.transact(request).status == 200
    back = sender.accept("MESSAGE")
    assert back.body == body
    assert "echo@" in back.get("From")
    sender.quiet(0.7)  # no retransmission: our 200 was seen


@pytest.mark.rfc("SEC-16")
def test_options_to_the_service(campus: Campus) -> None:
    with Agent(("127.0.0.1", campus.sip_port), "anybody") as asker:
        request = asker.request("OPTIONS", f"sip:127.0.0.1:{campus.sip_port}")
        asker.send(request)
        response = asker.response(request, 200)
        assert "INVITE" in response.get("Allow")


def test_options_reaches_a_phone(campus: Campus, phone: Phones) -> None:
    asker, answerer, *_ = pair(campus, phone)
    request = asker.request("OPTIONS", campus.uri(answerer.user))
    asker.send(request)
    request = asker.authorized(request, asker.final(request))
    asker.send(request)
    answerer.respond(answerer.expect("OPTIONS"), 200, "OK", headers=[("Accept", "text/x-own")])
    assert asker.final(request).get("Accept") == "text/x-own"


def test_max_forwards_zero_ends_here(campus: Campus, phone: Phones) -> None:
    asker, answerer, *_ = pair(campus, phone)
    request = asker.request("OPTIONS", campus.uri(answerer.user))
    request.headers = [(k, "0" if k == "Max-Forwards" else v) for k, v in request.headers]
    asker.send(request)
    assert asker.final(request).status == 483
    answerer.quiet(0.1)


def test_required_extension_that_no_proxy_knows(campus: Campus, phone: Phones) -> None:
    asker, answerer, *_ = pair(campus, phone)
    request = asker.request(
        "OPTIONS", campus.uri(answerer.user), headers=[("Proxy-Require", "teleport")]
    )
    response = asker.transact(request)
    assert (response.status, response.get("Unsupported")) == (420, "teleport")
