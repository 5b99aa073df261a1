"""What a peer can write that nobody expects: one answer, one record, and nothing left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.directory import AccountState
from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.transaction import ServerTransaction
from tests.sipcore.simulation.phone import Answer, Phone
from tests.sipcore.simulation.test_calls import end_of, make_world, registered
from tests.sipcore.simulation.test_rules import sent, stranger
from tests.sipcore.simulation.world import AT_ONCE_S, DOMAIN, SIZES, Size

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])


@pytest.mark.rfc("PRX-34")
@pytest.mark.parametrize(
    "target",
    [
        "sip:x@999.1.1.1",
        "sip:x@127.1",
        "sip:x@1.2.3.4.5",
        "sip:x@[::::]",
        "sip:x@192.0.2.1;maddr=1.2",
        "sip:x@[2001:db8::1]",  # we have no such socket
        "sip:x@192.0.2.1;transport=smoke",
        "sip:x@192.0.2.1;transport=tls",
    ],
)
def test_what_we_cannot_send_to_is_refused_at_once(size: Size, target: str) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = sent(anna, anna.build("INVITE", target), AT_ONCE_S)
    assert call.status == 500
    assert end_of(world)["cause"] == "failed"


def test_a_phone_with_an_odd_address_is_not_reached_and_does_no_harm(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register(contact="<sip:bob@1.2.3.4.5>")
    call = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}"))
    assert call.status == 480
    end_of(world)


BAD_CONTACTS = ['"open <sip:anna@10.1.0.1>', "<sip:anna @10.1.0.1>", "<anna>"]


def answers_with(*headers: tuple[str, str]) -> Answer:
    """A 200 with these headers before the Record-Route, and nothing else of a user agent."""

    def answer(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        rows = [("Record-Route", row) for row in request.rows("record-route")]
        tx.respond(request.respond(200, to_tag="t", headers=[*headers, *rows]), now)

    return answer


@pytest.mark.parametrize("contact", BAD_CONTACTS)
@pytest.mark.parametrize(
    ("caller", "who", "status"),
    [
        ("anna", "bob", 400),  # nobody knows how she is reached
        ("mallory", "bob", 200),  # by the flow of the call, as every stranger is
        ("anna", "echo", 400),
        ("mallory", "echo", 400),  # the service itself must know
    ],
)
def test_an_invite_with_an_odd_contact_leaves_no_call_behind(
    size: Size, caller: str, who: str, status: int, contact: str
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    bob = registered(world, "bob", "10.1.0.2")
    bob.on_invite = answers_with(("Contact", f"<{bob.contact}>"))
    phone = anna if caller == "anna" else stranger(world)
    request = phone.build("INVITE", f"sip:{who}@{DOMAIN}", body=b"v=0\r\n")
    request.set("Contact", contact)
    call = sent(phone, request)
    assert call.status == status
    for dialog in call.dialogs.values():
        phone.hang_up(dialog)
    world.run(400)
    world.check_calls()
    world.check_nothing_left()


@pytest.mark.parametrize(
    ("header", "answered"),
    [
        (("Contact", BAD_CONTACTS[0]), 1),
        (("Contact", BAD_CONTACTS[1]), 1),
        (("Record-Route", "<sip:x, <sip:y"), 0),
        (("Record-Route", "<a b>"), 1),
    ],
)
def test_an_answer_with_odd_headers_can_still_be_ended(
    size: Size, header: tuple[str, str], answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = answers_with(header)
    monkeypatch.setattr(anna, "_established", lambda *_: None)
    call = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}"))
    assert call.status == (200 if answered else 502)
    assert len(world.records_of(Kind.CALL_ANSWER)) == answered
    account = world.directory.account(1)
    assert account is not None
    gone = replace(account, state=AccountState.SUSPENDED, end_calls=True)
    world.change_directory(world.directory.changed(version=2, accounts=[gone]), [1])
    assert end_of(world)["cause"] == ("terminated" if answered else "failed")


def test_one_phone_with_an_odd_path_does_not_silence_the_others(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    for worker in world.workers:
        [binding] = worker.bindings.bindings(2, world.network.at)
        odd = replace(binding, key="odd", contact="sip:bob@10.1.0.9", path=("<sip:broken",))
        worker.bindings.replace(2, worker.bindings.version(2), [odd, binding])
    call = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}"))
    assert call.status == 200
    assert bob.received
    [dialog] = call.dialogs.values()
    anna.hang_up(dialog)
    assert end_of(world)["cause"] == "completed"


@pytest.mark.source
def test_a_mistake_of_our_own_answers_500_and_ends_the_call(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    registered(world, "bob", "10.1.0.2")

    def broken(*args: object, **kw: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("sipcore.proxy.ResponseContext.start", broken)
    call = anna.start(anna.build("INVITE", f"sip:bob@{DOMAIN}"), world.nodes[0].address)
    raised = 0
    while world.network.pending and raised < 10:
        try:
            world.run(400)
        except RuntimeError:
            raised += 1
            for node in world.nodes:
                for slot in range(len(node.slots)):
                    node.flush(slot)
    assert raised == 1
    assert call.status == 500
    world.check_calls()
    world.check_nothing_left()


@pytest.mark.parametrize(
    "header", [("Max-Forwards", "many"), ("From", "<sip:x y@z>;tag=1"), ("From", "anna")]
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_what_cannot_be_read_is_answered_400_even_before_who_it_is(
    size: Size, method: str, header: tuple[str, str]
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    request = anna.build(method, f"sip:bob@{DOMAIN}")
    request.set(*header)
    assert sent(anna, request).status == 400


@pytest.mark.rfc("PRX-04", "PRX-37")
def test_an_ack_without_hops_left_ends_here(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}"))
    [dialog] = call.dialogs.values()
    assert dialog.ack is not None
    arrived: list[bytes] = []
    world.network.attach(bob.address, lambda data, source, now: arrived.append(data))
    for hops, expected in (("0", 0), ("1", 1)):
        ack = dialog.ack.copy()
        ack.set("Max-Forwards", hops)
        world.network.send(ack.to_bytes(), anna.address, world.nodes[0].address)
        world.run(1)
        assert len(arrived) == expected


@pytest.mark.rfc("PRX-22")
def test_a_response_whose_other_vias_are_gone_is_not_passed_on(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")

    def answer(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        response = request.respond(486, to_tag="t")
        response.set("Via", request.values("via")[0])
        tx.respond(response, now)

    bob.on_invite = answer
    call = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}"))
    assert call.status == 502
    assert end_of(world)["cause"] == "failed"


@pytest.mark.parametrize("route", ["", ",", " , ,"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("method", ["INFO", "ACK"])
def test_a_route_without_a_value_is_none(size: Size, method: str, strict: bool, route: str) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    registered(world, "bob", "10.1.0.2")
    call = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}"))
    [dialog] = call.dialogs.values()
    request = anna.in_dialog(dialog, method)
    request.remove("Route")
    request.append("Route", route)
    if strict:
        request.uri_text = dialog.routes[0].strip("<>")
    if method == "ACK":
        request.push("Via", "SIP/2.0/UDP 10.1.0.1;branch=z9hG4bKack")
        world.network.send(request.to_bytes(), anna.address, world.nodes[0].address)
        world.run(1)
    else:
        # With us in the Request-URI and no Route it leads to ourselves, where nothing is sent.
        assert sent(anna, request).status == (480 if strict else 481)
    anna.hang_up(dialog)
    end_of(world)
