"""Attacks with methods: what a phone does when told, and who may tell it (`method_rules`)."""

from __future__ import annotations

import pytest

from sipcore.calls import SubscriptionTable
from sipcore.calls.limits import LAST_NEWS_S, LONGEST_SUBSCRIPTION_S, USUAL_SUBSCRIPTION_S
from sipcore.campus.method_rules import METHODS
from sipcore.eventlog import Counter
from sipcore.message import Request
from sipcore.proxy import Trust
from sipcore.transport.flow import Address
from tests.sipcore.conformance.peer import Header, Peer, come_to_rest, new_world, peer_of, phone
from tests.sipcore.simulation.phone import Outgoing, Phone, PhoneDialog, ring_forever
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World, tls_address

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB = f"sip:bob@{DOMAIN}"
ANNA = f"sip:anna@{DOMAIN}"
NUISANCES: list[tuple[str, list[Header]]] = [
    ("REFER", [("Refer-To", "<sip:+4690012345@pstn.example>")]),
    ("NOTIFY", [("Event", "check-sync;reboot=true"), ("Subscription-State", "terminated")]),
    ("NOTIFY", [("Event", "talk")]),
    ("NOTIFY", [("Event", "message-summary")]),
    ("SUBSCRIBE", [("Event", "dialog")]),
    ("SUBSCRIBE", [("Event", "presence")]),
    ("PUBLISH", [("Event", "presence")]),
    ("INFO", [("Info-Package", "dtmf")]),
    ("UPDATE", []),
    ("BYE", []),
    ("PRACK", [("RAck", "1 1 INVITE")]),
    ("JUGGLE", []),
]
names = [f"{m} {h[0][1]}" if h else m for m, h in NUISANCES]


def sent(sender: Phone, request: Request, wait_s: float = 1.0) -> Outgoing:
    outgoing = sender.start(request, sender.world.nodes[0].address)
    sender.world.run(wait_s)
    return outgoing


def request_of(sender: Phone, method: str, uri: str, *headers: Header) -> Request:
    request = sender.build(method, uri)
    for header in headers:
        request.append(*header)
    return request


# --- strangers ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "headers"), NUISANCES, ids=names)
def test_a_strangers_method_reaches_no_phone_and_costs_no_state(
    size: Size, method: str, headers: list[Header]
) -> None:
    world = new_world(size)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    world.run(40)  # what the registration left
    answers = []
    for uri in (
        BOB,
        f"sip:1001@{DOMAIN}",
        "tel:1001",
        "sip:bob@10.1.0.2:5070",
        f"sip:nobody@{DOMAIN}",
        f"sip:clara@{DOMAIN}",  # known, with no phone
        f"sip:{DOMAIN}",
        f"sip:bob@{DOMAIN};gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        f"sip:bob@{DOMAIN};maddr=10.0.0.1",
    ):
        mallory.arrived.clear()
        mallory.send(mallory.build(method, uri, *headers))
        mallory.send(mallory.build(method, uri, *headers, ("Proxy-Authorization", "Digest x=y")))
        world.run(0.1)
        [first, second] = mallory.responses
        answers += [first, second]
        assert all(len(worker.transactions) == 0 for worker in world.workers)
    assert {(a.status, a.reason, a.first("allow")) for a in answers} == {
        (405, "Method Not Allowed", answers[0].first("allow"))
    }
    assert "INVITE" in answers[0].values("allow")
    assert not bob.requests()
    counted = sum(worker.counts.total[Counter.METHOD_REFUSED] for worker in world.workers)
    assert counted == len(answers)


@pytest.mark.parametrize("uri", ["tel:1001", "tel:9999"])
def test_a_strangers_register_goes_to_no_phone(size: Size, uri: str) -> None:
    world = new_world(size)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    mallory.send(mallory.build("REGISTER", uri))
    mallory.send(mallory.build("REGISTER", uri, ("Authorization", "Digest x=y")))
    world.run(1)
    assert mallory.statuses == [405, 405]
    assert not bob.requests()


def test_a_strangers_options_to_any_line_get_the_same_answer(size: Size) -> None:
    world = new_world(size)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    world.run(40)  # what the registration left
    answers = set()
    for who in ("bob", "1001", "clara", "nobody", "77777"):
        mallory.arrived.clear()
        mallory.send(mallory.build("OPTIONS", f"sip:{who}@{DOMAIN}"))
        world.run(0.1)
        [answer] = mallory.responses
        assert len(answer.to_tag) == 12
        answers.add((answer.status, answer.reason, tuple(answer.keys), answer.first("allow")))
        assert all(len(worker.transactions) == 0 for worker in world.workers)
    [(status, _, _, allow)] = answers
    assert status == 200
    assert "INVITE" in (allow or "")
    assert not bob.requests()


def test_a_stranger_hidden_behind_a_strict_router_reaches_no_phone(size: Size) -> None:
    """The Request-URI names us, and who is asked for stands in the Route (RFC 3261 §16.4)."""
    world = new_world(size)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    for method in ("OPTIONS", "NOTIFY", "REGISTER"):
        uri = f"sip:{world.nodes[0].address[0]}:5060;lr"
        mallory.send(mallory.build(method, uri, ("Route", f"<{BOB}>"), ("Event", "check-sync")))
    world.run(1)
    assert sorted({m for m in mallory.statuses if m != 100}) == [401, 405]
    assert not bob.requests()


def test_what_belongs_to_a_strangers_call_passes(size: Size) -> None:
    world = new_world(size)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    invite = mallory.build("INVITE", BOB)
    mallory.send(invite)
    world.run(0.1)
    bob.answer(bob.requests("INVITE")[0], 180)
    world.run(0.1)
    cancel = mallory.build("CANCEL", BOB)
    for name in ("Via", "From", "To", "Call-ID"):
        cancel.set(name, invite.first(name.lower()) or "")
    mallory.send(cancel)
    world.run(0.1)
    assert len(bob.requests("CANCEL")) == 1
    bob.answer(bob.requests("INVITE")[0], 487)
    world.run(0.1)
    mallory.send(mallory.build("MESSAGE", BOB))
    world.run(0.1)
    assert len(bob.requests("MESSAGE")) == 1


# --- accounts -------------------------------------------------------------------------------------
ACCOUNTS: list[tuple[str, list[Header], int, int]] = [
    # method, headers, status to another line, status between the phones of one line
    ("INVITE", [], 200, 200),
    ("MESSAGE", [], 200, 200),
    ("OPTIONS", [], 200, 200),
    ("SUBSCRIBE", [("Event", "presence")], 200, 200),
    ("SUBSCRIBE", [("Event", "dialog")], 403, 200),
    ("SUBSCRIBE", [("o", "DIALOG;sla")], 403, 200),
    ("SUBSCRIBE", [("Event", "dialog.winfo")], 403, 200),
    ("SUBSCRIBE", [("Event", "presence, dialog")], 403, 200),
    ("SUBSCRIBE", [("Event", "presence"), ("o", "dialog")], 403, 200),
    ("SUBSCRIBE", [("Event", "as-feature-event")], 403, 200),
    ("SUBSCRIBE", [], 489, 489),
    ("SUBSCRIBE", [("Event", "dialog\x0b")], 489, 489),
    ("PUBLISH", [("Event", "presence")], 403, 200),
    ("REFER", [("Refer-To", "<sip:x@pstn.example>")], 403, 200),
    ("REFER", [("Refer-To", "<sip:x@y>"), ("Target-Dialog", "x;local-tag=a;remote-tag=b")], 403, 200),
    ("NOTIFY", [("Event", "presence")], 481, 200),
    ("NOTIFY", [("Event", "check-sync")], 481, 200),
    ("NOTIFY", [("o", "Talk")], 481, 200),
    ("MESSAGE", [("Event", "check-sync")], 403, 200),
    ("INVITE", [("Event", "talk")], 403, 200),
    ("BYE", [], 481, 481),
    ("INFO", [], 481, 481),
    ("PRACK", [], 481, 481),
    ("UPDATE", [], 481, 481),
    ("JUGGLE", [], 405, 405),
]


@pytest.mark.parametrize(("method", "headers", "other", "own"), ACCOUNTS)
def test_what_an_account_may_send_to_others_and_to_itself(
    size: Size, method: str, headers: list[Header], other: int, own: int
) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    desk, bob = phone(world, "anna", "10.1.0.11"), phone(world, "bob", "10.1.0.2")
    for uri, status, callee in ((BOB, other, bob), (ANNA, own, desk), ("tel:1001", other, bob)):
        callee.received.clear()
        outgoing = sent(anna, request_of(anna, method, uri, *headers))
        assert outgoing.status == status, uri
        assert bool(callee.received) == (status == 200)
        for dialog in outgoing.dialogs.values():
            anna.hang_up(dialog)
            world.run(0.5)
        assert outgoing.finals[0].has("allow") is (status == 405)
    # Nor by the address of his phone.
    bob.received.clear()
    outgoing = sent(anna, request_of(anna, method, "sip:bob@10.1.0.2", *headers))
    assert bool(bob.received) == (other == 200)


def test_a_folded_event_is_read(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    send = world.network.send

    def folding(data: bytes, *addresses: Address) -> None:
        send(data.replace(b"X-Event: dialog", b"EVENT :\r\n \r\n\t dialog ;sla"), *addresses)

    world.network.send = folding  # type: ignore[assignment, method-assign]
    outgoing = sent(anna, request_of(anna, "SUBSCRIBE", BOB, ("X-Event", "dialog")))
    # Read as no event package at all it would be 489.
    assert outgoing.status == 403
    assert not bob.received


def test_a_refer_between_the_parties_of_a_call_passes_outside_of_its_dialog(size: Size) -> None:
    """RFC 4538: a REFER with a dialog of its own names the call it is about."""
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = phone(world, "clara", "10.1.0.3")
    call = anna.call("bob")
    world.run(1)
    [dialog] = call.dialogs.values()
    tags = call.request.from_tag, dialog.remote_value.partition(";tag=")[2]

    def refer(sender: Phone, uri: str, local: str, remote: str) -> int:
        target_dialog = f"{dialog.call_id};local-tag={local};remote-tag={remote}"
        headers = ("Refer-To", f"<sip:clara@{DOMAIN}>"), ("Target-Dialog", target_dialog)
        return sent(sender, request_of(sender, "REFER", uri, *headers), 2).status

    for local, remote in (tags, tags[::-1]):
        assert refer(anna, BOB, local, remote) == 200
        assert refer(anna, "sip:bob@10.1.0.2:5060", local, remote) == 200
        assert refer(bob, ANNA, local, remote) == 200
        assert refer(clara, BOB, local, remote) == 403
        assert refer(anna, f"sip:clara@{DOMAIN}", local, remote) == 403
    assert refer(anna, BOB, tags[0], "other") == 403
    assert refer(anna, BOB, "other", tags[1]) == 403
    assert [r.method for r in bob.received].count("REFER") == 4
    assert [r.method for r in anna.received].count("REFER") == 2
    assert not clara.received
    anna.hang_up(dialog)
    world.run(2)
    assert refer(anna, BOB, *tags) == 403
    come_to_rest(world)


# --- inside calls ---------------------------------------------------------------------------------
@pytest.mark.parametrize("event", ["check-sync", "Talk;x=y", "hold", "as-feature-event", "x@y"])
@pytest.mark.parametrize("method", ["NOTIFY", "SUBSCRIBE", "INFO"])
def test_nobody_commands_the_other_phone_inside_a_call(size: Size, event: str, method: str) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(1)
    [dialog] = call.dialogs.values()
    for node in world.nodes:  # where the call is held, and where its token alone is known
        for header in (("Event", event), ("o", event)):
            request = anna.in_dialog(dialog, method)
            request.append(*header)
            outgoing = anna.start(request, node.address)
            world.run(1)
            assert outgoing.status == 403
    assert [r.method for r in bob.received] == ["INVITE"]
    news = anna.in_dialog(dialog, "NOTIFY")
    news.append("Event", "refer")
    assert sent(anna, news).status == 200


@pytest.mark.parametrize("event", ["dialog", "Dialog;sla", "call-info", "line-seize", "ua-profile"])
def test_nobody_spies_on_the_other_phone_inside_a_call(size: Size, event: str) -> None:
    """What it would tell is of all calls of that phone."""
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(1)
    [dialog] = call.dialogs.values()
    for node in world.nodes:
        request = anna.in_dialog(dialog, "SUBSCRIBE")
        request.append("Event", event)
        outgoing = anna.start(request, node.address)
        world.run(1)
        assert outgoing.status == 403
    assert [r.method for r in bob.received] == ["INVITE"]


def test_the_phones_of_a_line_command_one_another_inside_a_call(size: Size) -> None:
    world = new_world(size)
    anna, desk = phone(world, "anna", "10.1.0.1"), phone(world, "anna", "10.1.0.11")
    anna.on_invite = lambda *_: None
    call = anna.call("anna")
    world.run(1)
    [dialog] = call.dialogs.values()
    node = next(n for n in world.nodes if any(p.worker and len(p.worker.calls) for p in n.slots))
    request = anna.in_dialog(dialog, "NOTIFY")
    request.append("Event", "talk")
    outgoing = anna.start(request, node.address)
    world.run(1)
    assert outgoing.status == 200
    assert desk.received[-1].method == "NOTIFY"


# --- subscriptions --------------------------------------------------------------------------------
def subscribed(
    world: World, watcher: Phone, uri: str, *headers: Header
) -> tuple[Outgoing, PhoneDialog]:
    """A subscription of which the SUBSCRIBE passes the first node, as its notifier sees it."""
    given = headers or (("Event", "presence"),)
    outgoing = sent(watcher, request_of(watcher, "SUBSCRIBE", uri, *given))
    request = outgoing.request
    tag = outgoing.finals[0].to_tag
    dialog = PhoneDialog(
        request.call_id,
        f"<{uri}>;tag={tag}",
        request.first("from") or "",
        watcher.contact,
        [],
        0,
    )
    return outgoing, dialog


def notify(world: World, notifier: Phone, dialog: PhoneDialog, event: str = "presence") -> int:
    request = notifier.in_dialog(dialog, "NOTIFY")
    request.append("Event", event)
    return sent(notifier, request).status


def test_news_of_a_subscription_that_passed_us_go_to_the_subscriber(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = phone(world, "clara", "10.1.0.3")
    outgoing, dialog = subscribed(world, anna, BOB)
    assert outgoing.status == 200
    assert notify(world, bob, dialog) == 200
    dialog.remote_target = "sip:clara@10.1.0.3:5060"  # it goes where the subscriber is
    assert notify(world, bob, dialog) == 200
    assert [r.method for r in anna.received] == ["NOTIFY", "NOTIFY"]
    assert not clara.received
    assert notify(world, bob, dialog, "dialog") == 481
    assert notify(world, bob, dialog, "check-sync") == 481
    told = dialog.local_value
    dialog.local_value = told.replace("bob", "clara")
    assert notify(world, clara, dialog) == 481
    dialog.local_value = f"<{BOB}>;tag=other"
    assert notify(world, bob, dialog) == 481
    dialog.local_value = told
    world.run(USUAL_SUBSCRIPTION_S + LAST_NEWS_S + 1)
    assert notify(world, bob, dialog) == 481
    assert len(anna.received) == 2


def test_no_subscription_no_news(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    outgoing, dialog = subscribed(world, anna, BOB, ("Event", "dialog"))
    assert outgoing.status == 403
    assert notify(world, bob, dialog, "dialog") == 481
    assert not anna.received
    assert not bob.received


def _remember_at_most(world: World, most: int, most_of_one: int) -> list[SubscriptionTable]:
    """The memory of every worker, made anew with these bounds."""
    made = []
    for worker in world.workers:
        worker.subscriptions = SubscriptionTable(lambda row: None, most, most_of_one)
        made.append(worker.subscriptions)
    return made


def test_of_one_line_the_newest_subscriptions_are_remembered(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    memories = _remember_at_most(world, 100, 2)
    for _ in range(20):
        _, dialog = subscribed(world, anna, BOB)
    assert max(len(kept) for kept in memories) == 2
    assert notify(world, bob, dialog) == 200


def test_what_one_line_asks_for_pushes_out_nothing_of_another(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = phone(world, "clara", "10.1.0.3")
    _remember_at_most(world, 100, 2)
    _, dialog = subscribed(world, clara, BOB)
    for _ in range(20):
        subscribed(world, anna, BOB)
    assert notify(world, bob, dialog) == 200


def test_subscriptions_are_remembered_up_to_a_bound(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    memories = _remember_at_most(world, 3, 50)
    for _ in range(20):
        _, dialog = subscribed(world, anna, BOB)
    assert max(len(kept) for kept in memories) == 3
    assert notify(world, bob, dialog) == 200  # the newest ones
    world.run(2 * LONGEST_SUBSCRIPTION_S)
    for _ in range(20):
        subscribed(world, anna, BOB)


def test_subscriptions_that_are_over_make_room(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    memories = _remember_at_most(world, 100, 4)
    for _ in range(40):
        subscribed(world, anna, BOB, ("Event", "message-summary"), ("Expires", "0"))
    full = sum(len(kept) for kept in memories)
    world.run(60)
    for each in (anna, bob):
        each.register()
    world.run(1)
    _, dialog = subscribed(world, anna, BOB)
    assert sum(len(kept) for kept in memories) == full - 4 + 1
    assert notify(world, bob, dialog) == 200


# --- trusted peers --------------------------------------------------------------------------------
PEERS = [
    ("REFER", [], 200),
    ("SUBSCRIBE", [("Event", "dialog")], 200),
    ("SUBSCRIBE", [("Event", "as-feature-event")], 403),
    ("NOTIFY", [("Event", "message-summary")], 200),
    ("NOTIFY", [("Event", "check-sync;reboot=true")], 403),
    ("PUBLISH", [("Event", "presence")], 200),
    ("OPTIONS", [], 200),
    ("BYE", [], 481),
    ("INFO", [], 481),
    ("JUGGLE", [], 405),
]


@pytest.mark.parametrize(("method", "headers", "status"), PEERS)
def test_a_trusted_peer_sends_what_it_did_but_no_commands(
    size: Size, method: str, headers: list[Header], status: int
) -> None:
    if size is not ONE:
        size = Size(1, 3)  # connections lead to one node
    world = World(1, size, ["bob"], tls=True, trusted_peers=frozenset(["pbx.example"]))
    bob = phone(world, "bob", "10.1.0.2")
    address = ("192.0.2.9", 40_000)
    pbx = Phone(world, "pbx", address, transport="TLS")
    world.nodes[0].prove(address, "pbx.example")
    request = request_of(pbx, method, BOB, *headers)
    request.set("From", "<sip:4711@pbx.example>;tag=p")
    outgoing = pbx.start(request, tls_address(0))
    world.run(1)
    assert outgoing.status == status
    assert bool(bob.received) == (status == 200)


def test_the_table_has_a_row_for_each_method_and_a_cell_for_each_trust(size: Size) -> None:
    assert {len(row) for row in METHODS.values()} == {len(Trust)}
    assert {method for method, _ in NUISANCES} - {"JUGGLE"} <= set(METHODS)


# --- calls that nobody has answered ---------------------------------------------------------------
BARRED_BEFORE_THE_ANSWER: list[tuple[str, list[Header]]] = [
    ("REFER", [("Refer-To", "<sip:+4690012345@pstn.example>")]),
    ("NOTIFY", [("Event", "refer")]),
    ("SUBSCRIBE", [("Event", "presence")]),
    ("PUBLISH", [("Event", "presence")]),
    ("JUGGLE", []),
]


@pytest.mark.parametrize("caller", ["stranger", "account"])
@pytest.mark.parametrize(("method", "headers"), BARRED_BEFORE_THE_ANSWER)
def test_who_has_a_phone_ring_may_not_command_it_by_the_dialog_of_its_180(
    size: Size, method: str, headers: list[Header], caller: str
) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    invite = anna.build("INVITE", BOB)
    if caller == "stranger":
        invite.set("From", "<sip:m@elsewhere.example>;tag=mm")
    call = sent(anna, invite)
    ringing = call.responses[-1]
    assert ringing.status == 180
    dialog = PhoneDialog(
        invite.call_id,
        invite.first("from") or "",
        ringing.first("to") or "",
        bob.contact,
        list(reversed(ringing.record_routes)),
        1,
    )
    for barred in (True, False):
        request = anna.in_dialog(dialog, method if barred else "INFO")
        for header in headers if barred else []:
            request.append(*header)
        assert sent(anna, request).status == (403 if barred else 200)
    assert [r.method for r in bob.received] == ["INVITE", "INFO"]


def test_who_has_a_phone_ring_may_not_refer_it_outside_of_the_dialog(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(1)
    named = f"{call.request.call_id};local-tag={call.request.from_tag};remote-tag=early"
    headers = [("Refer-To", f"<sip:clara@{DOMAIN}>"), ("Target-Dialog", named)]
    assert sent(anna, request_of(anna, "REFER", BOB, *headers), 2).status == 403
    assert [r.method for r in bob.received] == ["INVITE"]
