"""Servers of a name that fail, seen from outside (RFC 3263 §4.3, RFC 3261 §16.6 step 7, §18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sipcore.campus import CampusService
from sipcore.directory import OpenNetworks
from sipcore.eventlog import Counter
from sipcore.locate import OWN_REQUESTS, Answer, Naptr, Srv
from sipcore.message import Request, Response, parse_message
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Address, Flow
from tests.sipcore.conformance.peer import Peer
from tests.sipcore.simulation.phone import (
    Answer as Script,
)
from tests.sipcore.simulation.phone import (
    Outgoing,
    Phone,
    answer_after,
    answer_at_once,
    refuse_with,
    ring_forever,
    silent,
)
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import AT_ONCE_S, DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

ONE, TWO, THREE = ("192.0.2.1", 5060), ("192.0.2.2", 5060), ("192.0.2.3", 5060)
FAR = "sip:zoe@far.example"


class Server(Phone):
    """A foreign server that answers like a phone, and counts."""

    def __init__(self, world: World, address: Address) -> None:
        super().__init__(world, "zoe", address)
        self.ack_requests: list[Request] = []
        self.heard: list[Request] = []
        """Everything, with retransmissions."""

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        message = parse_message(data)
        if isinstance(message, Request):
            self.heard.append(message)
            if message.method == "ACK":
                self.ack_requests.append(message)
        super()._receive(data, source, now)

    def got(self, method: str) -> list[Request]:
        """Requests of this method, retransmissions apart."""
        return [request for request in self.received if request.method == method]


def far_world(size: Size, *, transports: tuple[str, ...] = ("UDP",)) -> World:
    """A world in which `far.example` has three servers, tried in their order."""
    peers = frozenset(["far.example"])
    world = World(1, size, ["anna", "bob"], transports=transports, trusted_peers=peers)
    world.zone["_sip._udp.far.example", "SRV"] = Answer(
        300.0, srv=[Srv(i, 0, 5060, f"s{i}.far.example") for i in (1, 2, 3)]
    )
    for i, address in enumerate((ONE, TWO, THREE), start=1):
        world.zone[f"s{i}.far.example", "A"] = Answer(300.0, addresses=[address[0]])
    return world


def call(world: World, anna: Phone, target: str = FAR, method: str = "INVITE") -> Outgoing:
    """A call whose Call-ID is the first worker's: memory of servers is each worker's own."""
    worker = world.nodes[0].slots[0].worker
    assert worker is not None
    call_id = anna._id()
    while worker.config.slots > 1 and worker.slot_of(call_id) != 0:
        call_id = anna._id()
    request = anna.build(method, target, body=b"v=0\r\n", call_id=call_id)
    return anna.start(request, world.nodes[0].address)


def hang_up_and_check(world: World, anna: Phone, *calls: Outgoing) -> None:
    for outgoing in calls:
        for dialog in outgoing.dialogs.values():
            bye = anna.hang_up(dialog)
            world.run(1)
            assert bye is not None
            assert bye.status == 200
    world.run(400)
    world.check_calls()
    world.check_nothing_left()


def busy_server(retry_after: str = "") -> Script:
    """A 503, with a Retry-After if there is one."""

    def script(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        headers = [("Retry-After", retry_after)] if retry_after else []
        tx.respond(request.respond(503, to_tag="full", headers=headers), now)

    return script


@pytest.mark.rfc("LOC-07", "LOC-08", "PRX-18")
def test_a_503_sends_the_call_to_the_next_server_as_a_new_transaction(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two, three = (Server(world, address) for address in (ONE, TWO, THREE))
    one.on_invite = refuse_with(503)
    two.on_invite = answer_after(0.5)
    outgoing = call(world, anna)
    world.run(2)
    assert outgoing.status == 200
    assert [r.status for r in outgoing.responses if r.status not in (100, 407)] == [180, 200]
    [first], [second] = one.got("INVITE"), two.got("INVITE")
    assert first.branch != second.branch
    assert first.uri_text == second.uri_text == FAR  # the URI is not rewritten
    assert first.rows("record-route") != []
    assert len(second.rows("record-route")) == len(first.rows("record-route"))
    assert [len(ack.values("via")) for ack in one.ack_requests] == [1]  # of the failure: hop by hop
    assert one.ack_requests[0].branch == first.branch
    assert not three.received
    hang_up_and_check(world, anna, outgoing)
    assert two.got("BYE")


@pytest.mark.rfc("LOC-07", "PRX-18")
def test_a_server_without_any_answer_is_passed_over_after_timer_b(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    two = Server(world, TWO)
    outgoing = call(world, anna)
    world.run(31)
    assert not two.received
    world.run(3)
    assert outgoing.status == 200
    hang_up_and_check(world, anna, outgoing)


@pytest.mark.rfc("LOC-07", "TRP-12")
def test_an_unreachable_server_is_passed_over_at_once(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    two = Server(world, TWO)
    world.unreachable.add(ONE)
    outgoing = call(world, anna)
    world.run(AT_ONCE_S)
    assert outgoing.status == 200
    assert len(two.got("INVITE")) == 1
    hang_up_and_check(world, anna, outgoing)


@pytest.mark.rfc("TRP-12")
def test_an_icmp_error_of_nobodys_request_changes_nothing(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one.on_invite = silent
    outgoing = call(world, anna)
    while not one.received:
        world.run(0.002)  # before its 100
    [invite] = one.got("INVITE")
    unknown = invite.copy()
    unknown.set("Via", f"SIP/2.0/UDP {ONE[0]};branch=z9hG4bKnobody")
    for worker in world.workers:
        for start in (unknown.to_bytes(), b"INVITE", b"\r\n\r\n", b"SIP/2.0 200 OK\r\n"):
            worker.unreachable(start[:500], ONE, world.network.now, world.network.at)
    for node in world.nodes:
        for slot in range(len(node.slots)):
            node.flush(slot)
    world.run(4)
    assert not two.received
    anna.cancel(outgoing)
    hang_up_and_check(world, anna)


@pytest.mark.rfc("LOC-07")
def test_a_server_that_failed_after_ringing_tells_nothing_of_the_next(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, three = Server(world, ONE), Server(world, THREE)
    one.on_invite = refuse_with(503, 1.0)  # the second is silent
    outgoing = call(world, anna)
    world.run(36)
    assert len(three.got("INVITE")) == 1
    assert outgoing.status == 200
    hang_up_and_check(world, anna, outgoing)


@pytest.mark.rfc("LOC-07")
def test_a_server_that_said_100_is_not_left_for_its_silence(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one._request = lambda *_: None  # type: ignore[method-assign]
    call(world, anna, method="OPTIONS")
    world.run(60)
    assert one.got("OPTIONS")
    assert not two.received
    hang_up_and_check(world, anna)


def test_an_ack_that_cannot_reach_the_server_that_failed_harms_nobody(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two, three = (Server(world, address) for address in (ONE, TWO, THREE))
    two.on_invite = answer_after(1.0)

    def fail_and_go(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        refuse_with(503)(phone, tx, request, now)
        world.unreachable.add(ONE)

    one.on_invite = fail_and_go
    outgoing = call(world, anna)
    world.run(3)
    assert outgoing.status == 200
    assert two.got("INVITE")
    assert not three.received
    hang_up_and_check(world, anna, outgoing)


@pytest.mark.rfc("LOC-07")
def test_when_all_servers_failed_the_last_failure_is_the_answer(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    for address in (ONE, TWO, THREE):
        Server(world, address).on_invite = refuse_with(503)
    outgoing = call(world, anna)
    world.run(2)
    assert outgoing.status == 500  # RFC 3261 §16.7: a 503 is not passed on
    hang_up_and_check(world, anna)


def test_other_failures_are_final(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one.on_invite = refuse_with(486)
    outgoing = call(world, anna)
    world.run(2)
    assert outgoing.status == 486
    assert not two.received
    hang_up_and_check(world, anna)


def test_a_server_that_rings_is_not_left(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one.on_invite = ring_forever
    outgoing = call(world, anna)
    world.run(260)
    assert outgoing.status == 487
    assert one.got("CANCEL")
    assert not two.received
    hang_up_and_check(world, anna)


@pytest.mark.rfc("LOC-08")
def test_cancel_goes_to_the_server_that_the_request_reached(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one.on_invite = refuse_with(503)
    two.on_invite = ring_forever
    outgoing = call(world, anna)
    world.run(2)
    anna.cancel(outgoing)
    world.run(2)
    assert outgoing.status == 487
    [cancel], [invite] = two.got("CANCEL"), two.got("INVITE")
    assert cancel.branch == invite.branch
    assert not one.got("CANCEL")
    hang_up_and_check(world, anna)


@pytest.mark.rfc("LOC-08")
def test_retransmissions_go_to_the_server_that_was_asked_first(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    world.network.detach(ONE)
    world.network.after(5, lambda _: world.network.attach(ONE, one._receive))
    outgoing = call(world, anna)
    world.run(12)
    assert outgoing.status == 200
    assert {r.branch for r in one.heard if r.method == "INVITE"} == {one.got("INVITE")[0].branch}
    assert not two.received
    hang_up_and_check(world, anna, outgoing)


def test_a_caller_who_cancels_while_the_next_server_is_sought_gets_487(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one.on_invite = refuse_with(503)
    world.zone["s2.far.example", "A"] = Answer(5.0, failed=True)  # four seconds of waiting
    outgoing = call(world, anna)
    world.run(1)
    anna.cancel(outgoing)
    world.run(6)
    assert outgoing.status == 487
    assert not two.received
    hang_up_and_check(world, anna)


def test_a_message_fails_over_too(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    two = Server(world, TWO)
    world.unreachable.add(ONE)
    outgoing = call(world, anna, method="MESSAGE")
    world.run(2)
    assert outgoing.status == 200
    assert two.messages
    hang_up_and_check(world, anna)


@pytest.mark.rfc("LOC-07")
def test_a_server_without_any_answer_is_passed_over_after_timer_f(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    silent_one, two = Peer(world, ONE), Server(world, TWO)
    outgoing = call(world, anna, method="MESSAGE")
    begun = world.network.now
    world.run(31.9)
    [first] = silent_one.requests("MESSAGE")
    assert not two.received
    world.run(0.6)
    [second] = two.got("MESSAGE")
    assert first.branch != second.branch
    assert first.uri_text == second.uri_text == FAR
    assert len(silent_one.times("MESSAGE")) == 11  # timer E; F leaves it alone
    assert silent_one.times("MESSAGE")[-1] < begun + 32
    assert outgoing.status == 408  # her own timer F began before ours, and has come
    world.run(100)
    world.check_nothing_left()


def test_a_message_to_silent_servers_is_not_kept_for_hours(size: Size) -> None:
    world = far_world(size)
    world.zone["_sip._udp.far.example", "SRV"] = Answer(
        300.0, srv=[Srv(i, 0, 5060, f"s{i}.far.example") for i in range(64)]
    )
    for i in range(64):
        world.zone[f"s{i}.far.example", "A"] = Answer(300.0, addresses=[f"192.0.2.{i + 100}"])
    anna = registered(world, "anna", "10.1.0.1")
    call(world, anna, method="MESSAGE")
    world.run(100)
    assert all(worker.idle and not len(worker.transactions._clients) for worker in world.workers)


@pytest.mark.parametrize("maddr", ["", ";maddr=192.0.2.77"], ids=["name", "maddr"])
@pytest.mark.parametrize("host", ["a" * 300 + ".example", "a" * 300 + ".localhost"])
def test_a_name_longer_than_names_are_leads_nowhere(size: Size, host: str, maddr: str) -> None:
    world = World(1, size, ["anna"], tls=True)
    anna = registered(world, "anna", "10.1.0.1")
    for transport in (";transport=tls", ""):
        outgoing = call(world, anna, f"sip:zoe@{host}{maddr}{transport}")
        world.run(5)
        assert outgoing.status == 500
    assert not [question for question in world.asked if len(question[0]) > 253]
    hang_up_and_check(world, anna)


# --- what is remembered of servers -----------------------------------------------------------------
@pytest.mark.rfc("LOC-07")
def test_a_dead_server_is_passed_over_until_a_probe_finds_it_again(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    two = Server(world, TWO)
    calls = [call(world, anna)]
    world.run(35)
    calls.append(call(world, anna))
    world.run(1)
    assert calls[1].status == 200  # at once: nobody waits for the dead one again
    one = Server(world, ONE)
    calls.append(call(world, anna))
    world.run(20)
    assert not one.heard
    world.run(45)
    calls.append(call(world, anna))  # a minute after its death it is asked, in the background
    world.run(1)
    assert calls[3].status == 200
    assert len(two.got("INVITE")) == 4
    assert [r.method for r in one.heard] == ["OPTIONS"]
    calls.append(call(world, anna))
    world.run(1)
    assert len(one.got("INVITE")) == 1  # it answered: back in use
    hang_up_and_check(world, anna, *calls)


def test_a_probe_without_an_answer_keeps_the_server_out(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    two = Server(world, TWO)
    calls = [call(world, anna)]
    world.run(100)
    calls.append(call(world, anna))  # probes
    world.run(40)
    one = Server(world, ONE)
    calls.append(call(world, anna))
    world.run(1)
    assert len(two.got("INVITE")) == 3
    world.run(130)
    calls.append(call(world, anna))  # forgotten: tried again
    world.run(1)
    assert len(one.got("INVITE")) == 1
    hang_up_and_check(world, anna, *calls)


def test_where_all_servers_are_dead_one_is_tried_after_all(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    world.unreachable |= {ONE, TWO, THREE}
    refused = call(world, anna)
    world.run(1)
    assert refused.status == 500
    world.unreachable.clear()
    one = Server(world, ONE)
    outgoing = call(world, anna)
    world.run(1)
    assert outgoing.status == 200
    again = call(world, anna)
    world.run(1)
    assert len(one.got("INVITE")) == 2  # its answer took it up again
    hang_up_and_check(world, anna, outgoing, again)


@pytest.mark.rfc("LOC-13")
def test_retry_after_takes_a_server_out_of_use_for_so_long(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one.on_invite = busy_server("90 (lunch)")
    calls = [call(world, anna)]
    world.run(1)
    one.on_invite = answer_at_once
    world.run(80)
    calls.append(call(world, anna))
    world.run(1)
    assert len(one.heard) == 2  # INVITE and ACK: not even a probe since
    assert len(two.got("INVITE")) == 2
    world.run(10)
    calls.append(call(world, anna))
    world.run(1)
    assert len(one.got("INVITE")) == 2
    hang_up_and_check(world, anna, *calls)


@pytest.mark.rfc("LOC-13")
def test_a_sole_server_that_asked_for_rest_is_left_alone(size: Size) -> None:
    world = far_world(size)
    world.zone["_sip._udp.far.example", "SRV"] = Answer(
        300.0, srv=[Srv(1, 0, 5060, "s1.far.example")]
    )
    anna = registered(world, "anna", "10.1.0.1")
    one = Server(world, ONE)
    one.on_invite = busy_server("60")
    call(world, anna)
    world.run(1)
    refused = call(world, anna)
    world.run(1)
    assert refused.status == 500
    assert len(one.got("INVITE")) == 1
    hang_up_and_check(world, anna)


@pytest.mark.rfc("LOC-07")
def test_a_503_without_retry_after_is_no_reason_to_stay_away(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    one.on_invite = busy_server()
    calls = [call(world, anna)]
    world.run(1)
    calls.append(call(world, anna))
    world.run(1)
    assert len(one.got("INVITE")) == len(two.got("INVITE")) == 2
    hang_up_and_check(world, anna, *calls)


# --- the DNS ---------------------------------------------------------------------------------------
@pytest.mark.rfc("LOC-01", "LOC-04")
def test_addresses_and_ports_ask_no_more_than_they_must(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one = Server(world, ONE)
    call(world, anna, f"sip:zoe@{ONE[0]}")
    world.run(1)
    assert len(one.got("INVITE")) == 1
    assert world.asked == []  # a numeric host needs nobody
    other = Server(world, (ONE[0], 5080))
    call(world, anna, "sip:zoe@s1.far.example:5080")
    world.run(1)
    assert len(other.got("INVITE")) == 1
    assert world.asked == [("s1.far.example", "A")]  # with a port: neither NAPTR nor SRV
    world.asked.clear()
    call(world, anna, f"sip:zoe@elsewhere.example;maddr={ONE[0]}")
    world.run(1)
    assert len(one.got("INVITE")) == 2
    assert world.asked == []


@pytest.mark.rfc("LOC-02", "LOC-03", "LOC-05")
def test_a_bare_name_is_asked_for_by_naptr_then_srv_then_address(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one = Server(world, ONE)
    call(world, anna)
    world.run(1)
    assert world.asked == [
        ("far.example", "NAPTR"),
        ("_sip._udp.far.example", "SRV"),
        ("s1.far.example", "A"),
    ]
    world.asked.clear()
    call(world, anna)
    world.run(1)
    assert world.asked == []  # their time is not over
    world.zone["plain.example", "A"] = Answer(300.0, addresses=[ONE[0]])
    call(world, anna, "sip:zoe@plain.example")
    world.run(1)
    assert world.asked[-1] == ("plain.example", "A")
    assert len(one.got("INVITE")) == 3


@pytest.mark.rfc("LOC-01", "LOC-05")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_transport_that_is_named_leads_to_its_srv_records_then_to_addresses(
    size: Size, transport: str
) -> None:
    world = far_world(size, transports=("UDP", "TCP"))
    anna = registered(world, "anna", "10.1.0.1")
    one = Server(world, ONE)
    world.streams[ONE] = lambda data, source, now: None
    world.zone["plain.example", "A"] = Answer(300.0, addresses=[ONE[0]])
    call(world, anna, f"sip:zoe@plain.example;transport={transport}")
    world.run(1)
    assert world.asked == [(f"_sip._{transport}.plain.example", "SRV"), ("plain.example", "A")]
    assert [flow.remote for flow, _ in world.streamed] == [ONE] * (transport == "tcp")
    assert len(one.got("INVITE")) == (transport == "udp")


@pytest.mark.rfc("LOC-02", "LOC-13")
def test_naptr_records_choose_the_transport(size: Size) -> None:
    world = far_world(size, transports=("UDP", "TCP"))
    anna = registered(world, "anna", "10.1.0.1")
    one = Server(world, ONE)
    world.streams[TWO] = lambda data, source, now: None
    world.zone["far.example", "NAPTR"] = Answer(
        300.0,
        naptr=[
            Naptr(50, 10, "s", "SIPS+D2T", "", "_sips._tcp.far.example"),  # no TLS here
            Naptr(90, 50, "s", "SIP+D2U", "", "_sip._udp.far.example"),
            Naptr(90, 40, "s", "SIP+D2T", "", "_sip._tcp.far.example"),
        ],
    )
    world.zone["_sip._tcp.far.example", "SRV"] = Answer(
        300.0, srv=[Srv(1, 0, 5060, "s2.far.example")]
    )
    call(world, anna)
    world.run(1)
    [(flow, data)] = world.streamed
    assert (flow.transport, flow.remote) == ("TCP", TWO)
    assert parse_message(data).via.transport == "TCP"
    assert not one.heard


def two_families(size: Size, six: str, *, dual_stack: bool = True) -> World:
    """The first server of `far.example` has an address of each family, the second one of IPv4."""
    opened = OpenNetworks(["fd00::/8"])
    world = World(1, size, ["anna"], dual_stack=dual_stack, parts=[opened])
    world.zone["_sip._udp.far.example", "SRV"] = Answer(
        300.0, srv=[Srv(i, 0, 5060, f"s{i}.far.example") for i in (1, 2)]
    )
    world.zone["s1.far.example", "A"] = Answer(300.0, addresses=[ONE[0]])
    world.zone["s1.far.example", "AAAA"] = Answer(300.0, addresses=[six])
    world.zone["s2.far.example", "A"] = Answer(300.0, addresses=[TWO[0]])
    return world


@pytest.mark.rfc("LOC-07", "LOC-11")
@pytest.mark.parametrize(
    ("six", "best"), [("2001:db8:5::1", "six"), ("fd00::5", "one"), ("64:ff9b::c000:205", "six")]
)
def test_a_host_of_both_families_is_tried_at_each_address_before_the_next_host(
    size: Size, six: str, best: str
) -> None:
    """The better family first (RFC 6724); unique local addresses are worse than IPv4."""
    world = two_families(size, six)
    anna = registered(world, "anna", "10.1.0.1")
    servers = {"six": Server(world, (six, 5060)), "one": Server(world, ONE)}
    worse = "one" if best == "six" else "six"
    servers["two"] = Server(world, TWO)
    for expected in (best, worse, "two"):
        outgoing = call(world, anna, method="MESSAGE")
        world.run(1)
        assert outgoing.status == 200
        [message] = servers[expected].got("MESSAGE")
        # It comes from our address of that family.
        assert message.via.host.startswith("[") == (expected == "six")
        world.unreachable.add(servers[expected].address)
    assert [len(server.got("MESSAGE")) for server in servers.values()] == [1, 1, 1]
    assert {kind for name, kind in world.asked if name == "s1.far.example"} == {"A", "AAAA"}


@pytest.mark.rfc("LOC-11")
def test_addresses_of_a_family_that_we_do_not_speak_are_nothing(size: Size) -> None:
    world = two_families(size, "2001:db8:5::1", dual_stack=False)
    anna = registered(world, "anna", "10.1.0.1")
    six, one = Server(world, ("2001:db8:5::1", 5060)), Server(world, ONE)
    call(world, anna, method="MESSAGE")
    world.run(1)
    assert len(one.got("MESSAGE")) == 1
    assert not six.heard
    assert ("s1.far.example", "AAAA") not in world.asked


def test_a_name_that_is_not_there_ends_the_call_at_once(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    outgoing = call(world, anna, "sip:zoe@nowhere.example")
    world.run(AT_ONCE_S)
    assert outgoing.status == 500
    hang_up_and_check(world, anna)


@pytest.mark.parametrize("name", ["invalid", "abc.invalid", "x.INVALID", "a.invalid."])
def test_an_invalid_name_is_never_asked_for(size: Size, name: str) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    outgoing = call(world, anna, f"sip:zoe@{name}")
    world.run(1)
    assert outgoing.status == 500
    assert world.asked == []


def test_one_question_serves_all_who_wait_for_it(size: Size) -> None:
    world = far_world(size)
    world.zone["far.example", "NAPTR"] = Answer(5.0, failed=True)  # slow, and of no use
    anna = registered(world, "anna", "10.1.0.1")
    one = Server(world, ONE)
    calls = [call(world, anna) for _ in range(5)]
    world.run(6)
    assert [outgoing.status for outgoing in calls] == [200] * 5
    assert len(one.got("INVITE")) == 5
    assert world.asked.count(("far.example", "NAPTR")) == 1


@pytest.mark.rfc("LOC-13")
def test_answers_are_believed_for_their_time(size: Size) -> None:
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Server(world, ONE), Server(world, TWO)
    world.zone["short.example", "A"] = Answer(30.0, addresses=[ONE[0]])
    call(world, anna, "sip:zoe@short.example:5060")
    world.run(1)
    world.zone["short.example", "A"] = Answer(30.0, addresses=[TWO[0]])
    call(world, anna, "sip:zoe@short.example:5060")
    world.run(28)
    assert (len(one.got("INVITE")), len(two.got("INVITE"))) == (2, 0)
    world.run(2)
    call(world, anna, "sip:zoe@short.example:5060")
    world.run(1)
    assert (len(one.got("INVITE")), len(two.got("INVITE"))) == (2, 1)


# --- Route, Path, and what is sent without state ----------------------------------------------------
def edge_world(size: Size) -> tuple[World, Phone, list[Server]]:
    """Bob is behind an edge proxy of two machines with equal SRV records."""
    world = far_world(size)
    world.zone["_sip._udp.edge.example", "SRV"] = Answer(
        300.0, srv=[Srv(1, 10, 5060, "s1.far.example"), Srv(1, 10, 5060, "s2.far.example")]
    )
    anna = registered(world, "anna", "10.1.0.1")
    edges = [Server(world, address) for address in (ONE, TWO)]

    def on_invite(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        request.push("Record-Route", "<sip:edge.example;lr>")
        answer_at_once(phone, tx, request, now)

    for edge in edges:
        edge.on_invite = on_invite
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    register = bob.build("REGISTER", f"sip:{DOMAIN}", call_id=bob.register_call_id)
    register.set("To", f"<sip:bob@{DOMAIN}>")
    register.append("Supported", "path")
    register.append("Path", "<sip:edge.example;lr>")
    outgoing = bob.start(register, world.nodes[0].address)
    world.run(1)
    assert outgoing.status == 200
    return world, anna, edges


@pytest.mark.rfc("LOC-06", "LOC-09", "PRX-18")
def test_calls_are_spread_by_weight_but_acks_without_state_are_not(size: Size) -> None:
    world, anna, edges = edge_world(size)
    calls = []
    for _ in range(12):
        calls.append(anna.call("bob"))
        world.run(0.3)
    assert [outgoing.status for outgoing in calls] == [200] * 12
    invites = [len(edge.got("INVITE")) for edge in edges]
    assert sum(invites) == 12
    assert all(invites)
    assert [len({ack.call_id for ack in edge.ack_requests}) for edge in edges] == [12, 0]


@pytest.mark.rfc("LOC-09")
def test_the_acks_of_a_call_go_to_one_address_however_the_dns_turns_them_round(size: Size) -> None:
    world, anna, edges = edge_world(size)
    names = [question for question in world.zone if question[1] == "SRV"]
    for question in names:
        world.zone[question] = Answer(0.0, srv=[Srv(1, 0, 5060, "both.edge.example")])
    addresses = [edge.address[0] for edge in edges]
    for turn in range(6):
        world.zone["both.edge.example", "A"] = Answer(0.0, addresses=addresses[:: 1 - turn % 2 * 2])
        outgoing = anna.call("bob")
        world.run(0.3)
        assert outgoing.status == 200
    assert sorted(bool(edge.ack_requests) for edge in edges) == [False, True]


@pytest.mark.rfc("PRX-18")
def test_a_route_that_names_a_server_is_followed_and_fails_over(size: Size) -> None:
    world, anna, edges = edge_world(size)
    outgoing = anna.call("bob")
    world.run(1)
    [dialog] = outgoing.dialogs.values()
    world.unreachable |= {ONE}
    shared = {**edges[0].dialogs, **edges[1].dialogs}
    edges[1].dialogs = shared
    bye = anna.hang_up(dialog)
    world.run(2)
    assert bye is not None
    assert bye.status == 200
    assert edges[1].got("BYE")


def test_a_call_that_the_service_ends_reaches_a_named_route(size: Size) -> None:
    world, anna, edges = edge_world(size)
    outgoing = anna.call("bob")
    world.run(1)
    assert outgoing.status == 200
    world.unreachable |= {TWO}
    for worker in world.workers:
        application = worker.application
        assert isinstance(application, CampusService)
        worker.now, worker.at = world.network.now, world.network.at
        for ongoing in list(worker.calls):
            application.control.end_call(ongoing, world.network.now)
    for node in world.nodes:
        for slot in range(len(node.slots)):
            node.flush(slot)
    world.run(2)
    assert edges[0].got("BYE")
    world.run(400)
    world.check_calls()


def test_a_phone_behind_a_named_edge_is_asked_whether_it_is_there(size: Size) -> None:
    world, anna, edges = edge_world(size)
    outgoing = anna.call("bob")
    world.run(1)
    assert outgoing.status == 200
    for edge in edges:
        edge.dialogs = {**edges[0].dialogs, **edges[1].dialogs}
    world.run(320)
    [first] = edges[0].got("OPTIONS") + edges[1].got("OPTIONS")
    assert first.routes[0].uri.host == "edge.example"
    world.unreachable |= {ONE}
    world.run(300)
    assert edges[1].got("OPTIONS")
    assert [dialog.ended for dialog in outgoing.dialogs.values()] == [False]
    world.unreachable |= {ONE, TWO}
    world.run(900)
    assert [dialog.ended for dialog in outgoing.dialogs.values()] == [True]
    world.check_calls()


@pytest.mark.rfc("TRP-18")
def test_what_is_for_sips_never_leaves_in_the_open_for_a_name(size: Size) -> None:
    world = far_world(size)
    one = Server(world, ONE)
    world.run(1)
    [worker, *_] = world.workers
    for target, arrives in (("sips:zoe@far.example", False), ("sip:zoe@far.example", True)):
        now, branch = world.network.now, worker.new_branch("0")
        request = one.build("INFO", target)
        request.remove("Via")
        worker.next_hops.send_request(request.copy(), "sip:far.example;lr", None, now)
        worker.next_hops.send_ack(request, "sip:far.example;lr", OWN_REQUESTS, branch, now)
        world.nodes[0].flush(0)
        world.run(1)
        assert bool(one.heard) is arrives
        assert worker.counts.total[Counter.ACK_INSECURE]


# --- large requests ---------------------------------------------------------------------------------
BIG = b"v=0\r\n" + b"a=x-long:" + b"y" * 1400 + b"\r\n"


def takes_streams(
    world: World, address: Address, answer: Callable[[Request], Response | None]
) -> list[tuple[Flow, Request]]:
    """A peer that takes connections; what came on them."""
    got: list[tuple[Flow, Request]] = []

    def receive(data: bytes, source: Address, now: float) -> None:
        message = parse_message(data)
        assert isinstance(message, Request)
        flow = Flow("TCP", source, address, 7)
        got.append((flow, message))
        response = answer(message)
        if response is not None:
            node = next(n for n in world.nodes if n.address == source)
            worker_flow = Flow("TCP", source, address, 7)
            world.network.after(
                0.002, lambda later: node._give(0, response.to_bytes(), worker_flow, later)
            )

    world.streams[address] = receive
    return got


@pytest.mark.rfc("TRP-02")
def test_a_large_request_goes_by_tcp_with_a_via_that_says_so(size: Size) -> None:
    world = World(1, size, ["anna", "bob"], transports=("UDP", "TCP"))
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    got = takes_streams(world, bob.address, lambda request: request.respond(486, to_tag="b"))
    outgoing = anna.call("bob", BIG)
    world.run(2)
    assert outgoing.status == 486
    assert not bob.received
    assert [request.method for _, request in got] == ["INVITE", "ACK"]
    invite = got[0][1]
    assert invite.via.transport == "TCP"
    assert "transport=tcp" in (invite.record_routes[0])
    assert invite.body == BIG
    small = anna.call("bob")
    world.run(1)
    assert small.status == 200  # by UDP, as before: nothing sticks
    assert len(got) == 2


@pytest.mark.rfc("TRP-02")
def test_where_tcp_is_refused_a_large_request_goes_by_udp_after_all(size: Size) -> None:
    world = World(1, size, ["anna", "bob"], transports=("UDP", "TCP"))
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    outgoing = anna.call("bob", BIG)
    world.run(1)
    assert outgoing.status == 200
    [invite] = [r for r in bob.received if r.method == "INVITE"]
    assert invite.via.transport == "UDP"
    assert "transport" not in invite.record_routes[0]
    hang_up_and_check(world, anna, outgoing)
    got = takes_streams(world, bob.address, lambda request: request.respond(486, to_tag="b"))
    world.run(200)
    bob.register()
    world.run(1)
    again = anna.call("bob", BIG)
    world.run(1)
    assert again.status == 486
    assert got  # the refusal did not stick either
    world.run(400)
    world.check_nothing_left()


def test_a_large_request_to_a_phone_behind_nat_stays_on_its_flow(size: Size) -> None:
    world = World(1, size, ["anna", "bob"], transports=("UDP", "TCP"))
    anna = registered(world, "anna", "10.1.0.1")
    bob = Phone(world, "bob", ("10.1.0.2", 40_000))
    bob.contact = "sip:bob@192.168.1.7:5060"
    bob.register()
    world.run(1)
    outgoing = anna.call("bob", BIG)
    world.run(1)
    assert outgoing.status == 200
    assert world.streamed == []


# --- responses ----------------------------------------------------------------------------------------
def trust(world: World, flow: Flow) -> None:
    """Who sends by this flow has proved to be a trusted peer."""
    for worker in world.workers:
        worker.peer_known(flow, ("far.example",))


def by_stream(world: World, sent_by: str, port: int = 40_000, *, is_known: bool = True) -> str:
    """A peer's or stranger's INVITE to Bob on a connection that is gone when he declines."""
    source = ("10.3.0.9", port)
    request = Request.build(
        "INVITE",
        f"sip:bob@{DOMAIN}",
        [
            ("Via", f"SIP/2.0/TCP {sent_by};branch=z9hG4bKstream{port}"),
            ("Max-Forwards", "70"),
            ("From", "<sip:zoe@far.example>;tag=z"),
            ("To", f"<sip:bob@{DOMAIN}>"),
            ("Call-ID", "by-stream"),
            ("CSeq", "1 INVITE"),
            ("Contact", "<sip:zoe@10.3.0.9>"),
        ],
    )
    node = world.nodes[0]
    flow = Flow("TCP", node.address, source, 5)
    if is_known:
        trust(world, flow)
    node._give(0, request.to_bytes(), flow, world.network.now)
    return request.branch


@pytest.mark.rfc("LOC-10", "TRP-06")
@pytest.mark.parametrize(
    ("sent_by", "is_known", "takers", "questions"),
    [
        ("10.3.0.9:5070", True, [("10.3.0.9", 5070)], 0),
        ("10.3.0.9", True, [("10.3.0.9", 5060)], 0),
        # sent-by a name without a port: first where it came from, then by SRV, one after another
        ("back.example", True, [("10.3.0.9", 5060)], 0),
        ("back.example", True, [ONE], 2),
        ("back.example", True, [TWO], 3),
        # with a port: the addresses of the name
        ("s1.far.example:5061", True, [("192.0.2.1", 5061)], 1),
        ("x.invalid", True, [], 0),
        ("nowhere.example", True, [], 2),
        # of a stranger: where it came from, or its own network; no name is looked up
        ("10.3.0.9:5070", False, [("10.3.0.9", 5070)], 0),
        ("10.3.0.77", False, [("10.3.0.77", 5060)], 0),
        ("back.example", False, [("10.3.0.9", 5060)], 0),
    ],
)
def test_a_response_whose_connection_is_gone_finds_its_way(
    size: Size, sent_by: str, is_known: bool, takers: list[Address], questions: int
) -> None:
    world = far_world(size, transports=("UDP", "TCP"))
    registered(world, "bob", "10.1.0.2").on_invite = refuse_with(486, 1.0)
    world.zone["_sip._tcp.back.example", "SRV"] = Answer(
        300.0, srv=[Srv(1, 0, 5060, "s1.far.example"), Srv(2, 0, 5060, "s2.far.example")]
    )
    got: list[tuple[Address, bytes]] = []
    for taker in takers:
        world.streams[taker] = lambda data, source, now, t=taker: got.append((t, data))  # type: ignore[misc]
    branch = by_stream(world, sent_by, is_known=is_known)
    world.run(3)
    finals = [(address, data) for address, data in got if data.startswith(b"SIP/2.0 486")]
    assert [address for address, _ in finals] == takers
    for _, data in finals:
        response = parse_message(data)
        assert isinstance(response, Response)
        assert (response.status, response.branch) == (486, branch)
    assert len(world.asked) == questions
    world.run(400)
    world.check_nothing_left()


@pytest.mark.parametrize("sent_by", ["192.0.2.1", "back.example", "s1.far.example:5061"])
def test_what_a_stranger_wrote_leads_no_response_to_others(size: Size, sent_by: str) -> None:
    world = far_world(size, transports=("UDP", "TCP"))
    registered(world, "bob", "10.1.0.2").on_invite = refuse_with(486, 1.0)
    got: list[bytes] = []
    for taker in (ONE, ("192.0.2.1", 5061)):
        world.streams[taker] = lambda data, source, now: got.append(data)
    by_stream(world, sent_by, is_known=False)
    world.run(5)
    assert (got, world.asked) == ([], [])


@pytest.mark.rfc("LOC-10")
def test_other_ways_of_responses_are_bounded(size: Size) -> None:
    world = far_world(size, transports=("UDP", "TCP"))
    registered(world, "bob", "10.1.0.2").on_invite = refuse_with(486, 1.0)
    world.zone["_sip._tcp.back.example", "SRV"] = Answer(
        300.0, srv=[Srv(i, 0, 6000 + i, "s1.far.example") for i in range(50)]
    )
    tried: list[Address] = []
    for node in world.nodes:
        send = node._send

        def counted(
            slot: int, worker: object, flow: Flow, data: bytes, send: object = send
        ) -> None:
            if flow.transport == "TCP" and not flow.connection:
                tried.append(flow.remote)
            send(slot, worker, flow, data)  # type: ignore[operator]

        node._send = counted  # type: ignore[method-assign]
    by_stream(world, "back.example")
    world.run(5)
    ways = [("10.3.0.9", 5060), ("192.0.2.1", 6000), ("192.0.2.1", 6001)]
    assert list(dict.fromkeys(tried)) == ways  # of the 180, and of the 486 that found them taken


@pytest.mark.rfc("LOC-10", "TRP-12")
@pytest.mark.parametrize("is_known", [True, False], ids=["peer", "stranger"])
def test_an_icmp_error_of_a_response_leads_to_what_sent_by_names(
    size: Size, is_known: bool
) -> None:
    world = far_world(size)
    registered(world, "bob", "10.1.0.2").on_invite = refuse_with(486, 1.0)
    world.zone["_sip._udp.back.example", "SRV"] = Answer(
        300.0, srv=[Srv(1, 0, 5060, "s1.far.example")]
    )
    source = ("10.3.0.9", 5060)
    backup: list[Response] = []

    def receive(data: bytes, _: Address, now: float) -> None:
        message = parse_message(data)
        assert isinstance(message, Response)
        backup.append(message)

    world.network.attach(ONE, receive)
    invite = Request.build(
        "INVITE",
        f"sip:bob@{DOMAIN}",
        [
            ("Via", "SIP/2.0/UDP back.example;branch=z9hG4bKback"),
            ("Max-Forwards", "70"),
            ("From", "<sip:zoe@far.example>;tag=z"),
            ("To", f"<sip:bob@{DOMAIN}>"),
            ("Call-ID", "back"),
            ("CSeq", "1 INVITE"),
            ("Contact", "<sip:zoe@10.3.0.9>"),
        ],
    )
    if is_known:
        trust(world, Flow("UDP", world.nodes[0].address, source))
    world.network.send(invite.to_bytes(), source, world.nodes[0].address)
    world.run(0.5)
    world.unreachable.add(source)  # it fails before the answer
    world.run(5)
    assert {response.status for response in backup} == ({486} if is_known else set())
    # Its retransmissions go the new way at once.
    assert len(backup) == (4 if is_known else 0)
    world.run(400)
    world.check_calls()
    world.check_nothing_left()


@pytest.mark.rfc("PRX-21", "PRX-33")
def test_the_next_server_has_all_the_time_to_ring(size: Size) -> None:
    """Timer C is one for each client transaction (RFC 3261 §16.6 item 11)."""
    world = far_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    one, two = Peer(world, ONE), Peer(world, TWO)
    outgoing = call(world, anna)
    world.run(0.5)
    one.answer(one.requests("INVITE")[0], 183)
    world.run(170)
    one.answer(one.requests("INVITE")[0], 503)
    world.run(1)
    two.answer(two.requests("INVITE")[0], 100)
    world.run(178)
    assert two.requests("CANCEL") == []
    assert not outgoing.finals
    world.run(10)
    assert len(two.requests("CANCEL")) == 1  # it never rang


@pytest.mark.rfc("PRX-33")
def test_a_call_whose_servers_are_sought_for_too_long_has_timed_out(size: Size) -> None:
    """Timer C without any provisional response: a request that was never sent is not cancelled."""
    world = far_world(size)
    world.zone["_sip._udp.far.example", "SRV"] = Answer(
        300.0, srv=[Srv(i, 0, 5060, f"s{i}.far.example") for i in range(64)]
    )
    for i in range(64):
        world.zone[f"s{i}.far.example", "A"] = Answer(5.0, failed=True)  # four seconds each
    anna = registered(world, "anna", "10.1.0.1")
    outgoing = call(world, anna)
    world.run(180)
    assert outgoing.status == 0
    world.run(10)
    assert [response.status for response in outgoing.finals] == [408]
    hang_up_and_check(world, anna)
