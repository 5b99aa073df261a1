"""A phone moves to another network in the middle of a call: the call goes with it, and with nobody else."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from sipcore.directory import Device, Directory
from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.transport.flow import Address
from tests.sipcore.simulation.phone import Outgoing, Phone, PhoneDialog
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.test_rules import stranger
from tests.sipcore.simulation.world import ONE, SIZES, Size, World, ha1

sizes = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

PROBE_S = 300


class Place(NamedTuple):
    """Where a phone sends from, and what it writes of that."""

    source: Address
    contact: str
    """"" where it writes what is true."""


NAT = Place(("203.0.113.41", 40_123), "192.168.1.10:5060")
OTHER_NAT = Place(("203.0.113.42", 30_321), "10.7.7.7:5062")
SAME_NAT = Place(("203.0.113.41", 30_999), "192.168.1.10:5060")
OPEN = Place(("198.51.100.7", 5060), "")
OTHER_OPEN = Place(("198.51.100.99", 5060), "")
MOVES = {
    "one NAT to another": (NAT, OTHER_NAT),
    "another port of one NAT": (NAT, SAME_NAT),
    "a NAT into the open": (NAT, OPEN),
    "the open behind a NAT": (OPEN, NAT),
    "the open into the open": (OPEN, OTHER_OPEN),
}
moves = pytest.mark.parametrize(("before", "after"), MOVES.values(), ids=MOVES)
sides = pytest.mark.parametrize("is_caller", [True, False], ids=["caller", "called"])


def go(phone: Phone, place: Place) -> None:
    phone.move(place.source, f"sip:{phone.name}@{place.contact}" if place.contact else "")


class Talk:
    """A call between a phone that will move and another one."""

    def __init__(self, size: Size, before: Place, *, is_caller: bool) -> None:
        self.is_caller = is_caller
        self.world = world = World(1, size, ["anna", "bob"], probe_s=PROBE_S)
        self.other = registered(world, "bob", "10.1.0.2")
        self.mover = Phone(world, "anna", before.source)
        go(self.mover, before)
        self.mover.register()
        world.run(1)
        caller, callee = (self.mover, self.other) if is_caller else (self.other, self.mover)
        call = caller.call(callee.name)
        world.run(5)
        assert call.status == 200
        self.movers = self._dialog(self.mover)
        self.others = self._dialog(self.other)
        self.before = len(self.mover.received)

    @staticmethod
    def _dialog(phone: Phone) -> PhoneDialog:
        [dialog] = phone.dialogs.values()
        return dialog

    def reinvite(self) -> Outgoing:
        """The mover says where it is; shown credentials count on."""
        outgoing = self.mover.reinvite(self.movers)
        self.world.run(10)
        self.movers.local_cseq = outgoing.request.cseq_number
        return outgoing

    def check_that_the_call_goes_on(self) -> None:
        """Both are asked where they are; the other party hangs up; one right record."""
        world, mover = self.world, self.mover
        world.run(3 * PROBE_S + 10)
        asked = [r.method for r in mover.received[self.before :]]
        assert asked == ["OPTIONS"] * 3
        bye = self.other.hang_up(self.others)
        world.run(5)
        assert bye is not None
        assert bye.status == 200
        assert mover.received[-1].method == "BYE"
        [end] = world.records_of(Kind.CALL_END)
        assert end.fields["cause"] == "completed"
        assert end.fields["by"] == ("callee" if self.is_caller else "caller")


@sizes
@moves
@sides
def test_a_call_goes_with_a_phone_that_shows_its_credentials(
    size: Size, before: Place, after: Place, is_caller: bool
) -> None:
    talk = Talk(size, before, is_caller=is_caller)
    go(talk.mover, after)
    again = talk.reinvite()
    assert again.authenticated
    assert again.status == 200
    talk.check_that_the_call_goes_on()


@sizes
@moves
@sides
def test_a_call_goes_with_a_phone_that_has_registered_there_first(
    size: Size, before: Place, after: Place, is_caller: bool
) -> None:
    talk = Talk(size, before, is_caller=is_caller)
    go(talk.mover, after)
    talk.mover.register()
    talk.world.run(1)
    again = talk.reinvite()
    assert not again.authenticated
    assert again.status == 200
    talk.check_that_the_call_goes_on()


@sizes
@sides
def test_a_phone_that_has_moved_hangs_up(size: Size, is_caller: bool) -> None:
    talk = Talk(size, NAT, is_caller=is_caller)
    go(talk.mover, OTHER_NAT)
    talk.reinvite()
    bye = talk.mover.hang_up(talk.movers)
    talk.world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert talk.other.received[-1].method == "BYE"
    [end] = talk.world.records_of(Kind.CALL_END)
    assert end.fields["cause"] == "completed"


@sizes
@sides
def test_a_worker_that_has_adopted_the_call_knows_who_has_moved(size: Size, is_caller: bool) -> None:
    talk = Talk(size, NAT, is_caller=is_caller)
    go(talk.mover, OTHER_NAT)
    talk.reinvite()
    kill_all(talk.world, 1)
    talk.world.run(5)
    talk.world.run(2 * PROBE_S)
    assert "OPTIONS" in [r.method for r in talk.mover.received[talk.before :]]
    assert talk.world.records_of(Kind.CALL_END) == []


@sizes
@sides
def test_a_phone_moves_in_a_call_that_a_worker_has_adopted(size: Size, is_caller: bool) -> None:
    talk = Talk(size, NAT, is_caller=is_caller)
    kill_all(talk.world, 1)
    talk.world.run(5)
    go(talk.mover, OTHER_NAT)
    again = talk.reinvite()
    assert (again.authenticated, again.status) == (True, 200)
    bye = talk.other.hang_up(talk.others)
    talk.world.run(5)
    assert bye is not None
    assert bye.status == 200


@sizes
@sides
def test_the_other_party_moves_nothing(size: Size, is_caller: bool) -> None:
    """It knows every id of the call, and sends as if it were the phone, from where it likes."""
    talk = Talk(size, NAT, is_caller=is_caller)
    world, mover = talk.world, talk.mover
    forger = Phone(world, "bob", ("198.51.100.66", 5060))
    forger.contact = "sip:anna@198.51.100.66"
    forged = forger.in_dialog(talk.movers, "INVITE", cseq=900)
    outgoing = forger.start(forged, forger._node())
    world.run(10)
    assert (outgoing.authenticated, outgoing.status) == (True, 403)  # as somebody else
    assert [r.method for r in talk.other.received if r.to_tag][-1:] != ["INVITE"]
    bye = talk.other.hang_up(talk.others)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert mover.received[-1].method == "BYE"


@sizes
@pytest.mark.parametrize("method", ["BYE", "INFO"])
def test_only_what_moves_a_party_is_challenged(size: Size, method: str) -> None:
    talk = Talk(size, NAT, is_caller=True)
    go(talk.mover, OTHER_NAT)
    outgoing = talk.mover.start(
        talk.mover.in_dialog(talk.movers, method), talk.mover.route_address(talk.movers)
    )
    talk.world.run(5)
    assert (outgoing.authenticated, outgoing.status) == (False, 200)


@sizes
def test_another_phone_of_the_same_person_does_not_take_the_call(size: Size) -> None:
    talk = Talk(size, NAT, is_caller=True)
    world = talk.world
    world.change_directory(with_second_device(world.directory), None)
    world.run(1)
    go(talk.mover, OTHER_NAT)
    talk.mover.secret = "of-the-laptop"
    again = talk.reinvite()
    assert (again.authenticated, again.status) == (True, 403)


def with_second_device(directory: Directory) -> Directory:
    """Anna's account with one more device, whose secret is "of-the-laptop"."""
    accounts = []
    for account in directory.accounts():
        if account.username == "anna":
            secret = "of-the-laptop"
            more = Device(999, ha1("MD5", "anna", secret), ha1("SHA-256", "anna", secret))
            account = replace(account, devices=(*account.devices, more))
        accounts.append(account)
    return Directory(
        version=directory.version + 1,
        realm=directory.realm,
        domains=list(directory.domains.values()),
        accounts=accounts,
        addresses=list(directory.addresses()),
    )


@pytest.mark.parametrize("size", [ONE, Size(1, 3)], ids=["one worker", "three"])
@pytest.mark.parametrize("stream", ["TCP", "TLS"])
@sides
def test_a_call_goes_with_a_phone_that_has_a_new_connection(
    size: Size, stream: str, is_caller: bool
) -> None:
    world = World(1, size, ["anna", "bob"], tls=True, stream=stream, probe_s=PROBE_S)
    bob = registered(world, "bob", "10.1.0.2")
    anna = Phone(world, "anna", ("203.0.113.41", 40_123), transport=stream)
    anna.register()
    world.run(1)
    caller, callee = (anna, bob) if is_caller else (bob, anna)
    call = caller.call(callee.name)
    world.run(5)
    assert call.status == 200
    [hers], [his] = anna.dialogs.values(), bob.dialogs.values()
    world.nodes[0].cut(anna.address)
    anna.move(("203.0.113.42", 41_000))
    again = anna.reinvite(hers)
    world.run(5)
    assert (again.authenticated, again.status) == (True, 200)
    bye = bob.hang_up(his)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert anna.received[-1].method == "BYE"


def talk_with_stranger(size: Size) -> tuple[World, Phone, Phone, PhoneDialog, PhoneDialog]:
    """Somebody of a foreign domain has called Bob."""
    world = World(1, size, ["anna", "bob"], probe_s=PROBE_S)
    bob = registered(world, "bob", "10.1.0.2")
    mallory = stranger(world)
    call = mallory.call("bob")
    world.run(5)
    assert call.status == 200
    [hers], [his] = mallory.dialogs.values(), bob.dialogs.values()
    return world, mallory, bob, hers, his


@sizes
def test_a_call_goes_with_a_stranger_to_another_port_of_the_same_host(size: Size) -> None:
    world, mallory, bob, hers, his = talk_with_stranger(size)
    mallory.move((mallory.address[0], 7070))
    assert sent_in(mallory, hers) == 200
    bob.hang_up(his)
    world.run(5)
    assert mallory.received[-1].method == "BYE"


@sizes
def test_a_call_does_not_go_with_a_stranger_to_another_host(size: Size) -> None:
    world, mallory, bob, hers, his = talk_with_stranger(size)
    before = mallory.address
    elsewhere = Phone(world, "mallory", ("198.51.100.66", 5060))
    elsewhere.start(elsewhere.in_dialog(hers, "INVITE", cseq=900), elsewhere._node())
    world.run(5)
    bob.hang_up(his)
    world.run(5)
    assert mallory.address == before
    assert mallory.received[-1].method == "BYE"
    assert [r.method for r in elsewhere.received] == []


@pytest.mark.parametrize("size", [ONE, Size(1, 3)], ids=["one worker", "three"])
@pytest.mark.parametrize(("shown", "moves_to"), [("pbx.example", "there"), ("other.example", "back")])
def test_a_call_goes_with_a_trusted_peer_that_shows_its_certificate(
    size: Size, shown: str, moves_to: str
) -> None:
    peers = frozenset(["pbx.example", "other.example"])
    world = World(1, size, ["anna", "bob"], tls=True, trusted_peers=peers)
    bob = registered(world, "bob", "10.1.0.2")
    before, after = ("192.0.2.9", 40_000), ("192.0.2.10", 41_000)
    pbx = Phone(world, "4711", before, transport="TLS")
    world.nodes[0].prove(before, "pbx.example")
    build = pbx.build

    def foreign(method: str, to: str, **kw: object) -> Request:
        request = build(method, to, **kw)  # type: ignore[arg-type]
        request.set("From", "<sip:4711@pbx.example>;tag=p")
        return request

    pbx.build = foreign  # type: ignore[method-assign]
    call = pbx.call("bob")
    world.run(5)
    assert call.status == 200
    [hers], [his] = pbx.dialogs.values(), bob.dialogs.values()
    got: list[str] = []
    pbx.move(after)
    world.network.attach(before, lambda data, *_: got.append("back"))
    world.nodes[0].prove(after, shown)
    assert sent_in(pbx, hers) == 200
    pbx.received.clear()
    got.clear()
    bob.hang_up(his)
    world.run(5)
    got += ["there" for request in pbx.received if request.method == "BYE"]
    assert set(got) == {moves_to}


def sent_in(phone: Phone, dialog: PhoneDialog) -> int:
    """What a re-INVITE is answered."""
    again = phone.reinvite(dialog)
    phone.world.run(10)
    return again.status
