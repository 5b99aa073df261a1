"""REGISTER over real sockets: who may, what is answered, what stays when the daemon dies."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

import pytest

from tests.support.campus import Campus, wait_for
from tests.support.ua import Agent
from tests.support.wire import Wire, challenge_of, digest, uri_of

pytestmark = pytest.mark.peers

Phones = Callable[..., Agent]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_right_secret_registers(phone: Phones, algorithm: str, transport: str) -> None:
    agent = phone(algorithm=algorithm, transport=transport)
    response = agent.register(expires=120)
    assert response.status == 200
    (contact,) = response.values("Contact")
    assert agent.contact in contact
    told = re.search(r";expires=(\d+)", contact)
    assert told is not None
    assert 96 <= int(told[1]) <= 120  # a fifth less at most
    assert response.get("Date").endswith("GMT")


def test_both_algorithms_are_offered_with_the_stronger_first(phone: Phones) -> None:
    agent = phone()
    request = agent.register_request()
    agent.send(request)
    rows = agent.response(request, 401).rows("WWW-Authenticate")
    assert ["algorithm=SHA-256" in rows[0], "algorithm=MD5" in rows[1]] == [True, True]
    assert all('qop="auth"' in row for row in rows)


def test_phone_that_gives_up_on_unknown_algorithms_is_offered_md5_only(phone: Phones) -> None:
    agent = phone()
    request = agent.register_request(headers=[("User-Agent", "baresip v1.0.0 (x86_64/linux)")])
    agent.send(request)
    (row,) = agent.response(request, 401).rows("WWW-Authenticate")
    assert "algorithm=MD5" in row


def test_wrong_secret_and_unknown_name_look_the_same(campus: Campus, phone: Phones) -> None:
    wrong = phone()
    wrong.secret = "not the secret"
    nobody = Agent(wrong.server, "nobody-has-this-name", "whatever")
    shapes = []
    for agent in (wrong, nobody):
        with agent:
            request = agent.register_request()
            agent.send(request)
            first = agent.final(request)
            again = agent.authorized(request, first)
            agent.send(again)
            second = agent.final(again)
            shapes.append([shape(first), shape(second)])
    assert shapes[0] == shapes[1]
    assert shapes[0][1][0] == "SIP/2.0 401 Unauthorized"
    refused = wait_for(
        "both refusals in the records",
        lambda: (
            {
                r["known"]
                for r in campus.records()
                if r["k"] == "auth.refused" and r["username"] in (wrong.user, nobody.user)
            }
            == {True, False}
        ),
    )
    assert refused


def shape(response: Wire) -> tuple[str, list[tuple[str, str]]]:
    """A response without what is random in it or names the user."""
    headers = [
        (name, re.sub(r'nonce="[^"]*"', "nonce", value))
        for name, value in response.headers
        if name not in ("Via", "From", "To", "Call-ID")
    ]
    return response.start, headers


def test_replayed_credentials_are_refused(phone: Phones) -> None:
    agent = phone()
    request = agent.register_request()
    agent.send(request)
    good = agent.authorized(request, agent.response(request, 401))
    agent.send(good)
    agent.response(good, 200)

    thief = phone()
    stolen = [row for row in good.headers if row[0] not in ("Via", "CSeq", "Contact")]
    number = good.cseq[0] + 1
    replay = agent.request("REGISTER", good.uri)
    replay.headers = [
        ("Via", thief.new_via()),
        *stolen,
        ("CSeq", f"{number} REGISTER"),
        ("Contact", f"<{thief.contact}>"),
    ]
    thief.send(replay)
    assert thief.final(replay).status == 401
    assert contacts_of(agent) == [agent.contact]


def test_same_nonce_serves_again_with_the_next_count(phone: Phones) -> None:
    agent = phone()
    request = agent.register_request()
    agent.send(request)
    challenged = agent.response(request, 401)
    for count in (1, 2, 3):
        again = agent.authorized(agent.register_request(), challenged, nc=count)
        agent.send(again)
        assert agent.final(again).status == 200


def test_nonce_of_another_account_is_stale(phone: Phones) -> None:
    agent, other = phone(), phone()
    foreign = other.register_request()
    other.send(foreign)
    challenged = other.response(foreign, 401)
    borrowed = agent.authorized(agent.register_request(), challenged)
    agent.send(borrowed)
    response = agent.final(borrowed)
    assert response.status == 401
    assert "stale=true" in response.get("WWW-Authenticate").lower()


def test_forged_nonce_lets_nobody_in(phone: Phones) -> None:
    agent = phone()
    request = agent.register_request()
    agent.send(request)
    challenge = challenge_of(agent.response(request, 401), "SHA-256")
    assert challenge is not None
    challenge["nonce"] = challenge["nonce"][:-4] + "AAAA"
    forged = agent.register_request(
        headers=[
            (
                "Authorization",
                digest(challenge, "REGISTER", request.uri, agent.user, agent.secret or ""),
            )
        ]
    )
    agent.send(forged)
    response = agent.final(forged)
    assert response.status == 401


def test_nonce_from_before_a_kill_is_stale_and_the_registration_stays(
    own_campus: Campus,
) -> None:
    with own_campus.phone().registered() as agent:
        request = agent.register_request()
        agent.send(request)
        challenged = agent.response(request, 401)
        own_campus.kill()
        own_campus.start_sipd()
        again = agent.authorized(request, challenged)
        agent.send(again)
        response = agent.final(again)
        assert response.status == 401
        assert "stale=true" in response.get("WWW-Authenticate").lower()
        assert contacts_of(agent) == [agent.contact]


@pytest.mark.rfc("REG-04")
def test_somebody_elses_address_cannot_be_registered(phone: Phones) -> None:
    agent, other = phone(), phone()
    request = agent.request(
        "REGISTER",
        f"sip:{agent.domain}",
        to=f"<{other.aor}>",
        headers=[("Contact", f"<{agent.contact}>")],
    )
    assert agent.transact(request).status == 403
    assert contacts_of(other) == []


@pytest.mark.rfc("REG-06", "REG-07")
def test_query_lists_contacts_and_star_removes_them(phone: Phones) -> None:
    agent = phone()
    first, second = f"<{agent.contact}>", f"<sip:{agent.user}@127.0.0.1:9>;q=0.3"
    assert agent.register(contacts=[first, second]).status == 200
    assert set(contacts_of(agent)) == {agent.contact, f"sip:{agent.user}@127.0.0.1:9"}
    assert agent.register(contacts=["*"], expires=60).status == 400
    assert agent.register(contacts=["*"], expires=0).status == 200
    assert contacts_of(agent) == []


@pytest.mark.rfc("REG-10")
def test_too_short_an_interval_is_answered_with_the_least(phone: Phones) -> None:
    agent = phone()
    response = agent.register(expires=5)
    assert response.status == 423
    assert int(response.get("Min-Expires")) > 5
    assert contacts_of(agent) == []


@pytest.mark.rfc("REG-08")
def test_late_request_of_the_same_call_id_is_refused(phone: Phones) -> None:
    agent = phone()
    late = agent.register_request(expires=60)  # made first, sent last
    agent.register()
    assert agent.transact(late).status == 500
    assert contacts_of(agent) == [agent.contact]


def test_same_instance_replaces_its_old_contact(phone: Phones) -> None:
    agent = phone()
    instance = f';+sip.instance="<urn:uuid:{secrets.token_hex(16)}>"'
    agent.register(contacts=[f"<sip:{agent.user}@127.0.0.1:9>{instance}"], call_id="before")
    agent.register(contacts=[f"<{agent.contact}>{instance}"], call_id="after")
    assert contacts_of(agent) == [agent.contact]


def test_retransmitted_register_gets_the_same_answer(phone: Phones) -> None:
    agent = phone()
    request = agent.register_request()
    agent.send(request)
    good = agent.authorized(request, agent.response(request, 401))
    agent.send(good)
    first = agent.response(good, 200)
    agent.send(good)
    agent.quiet()
    assert agent.repeats[-1].to_bytes() == first.to_bytes()


def contacts_of(agent: Agent) -> list[str]:
    """What the registrar lists for this phone's address."""
    response = agent.register(contacts=[], expires=None, call_id=secrets.token_hex(4))
    assert response.status == 200, response.start
    return [uri_of(value) for value in response.values("Contact")]
