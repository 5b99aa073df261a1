"""Connections that phones open, and are reached by (RFC 5626): registrar, edge proxy, keep-alives.

With Path (RFC 3327) and Service-Route (RFC 3608). Streams are the TLS connections of the simulated
network, which a test can cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from sipcore.bindings import FlowTokens
from sipcore.campus.limits import RETRY_S
from sipcore.directory import AccountState
from sipcore.locate import Answer
from sipcore.message import Request, Response
from sipcore.perimeter.limits import INSIDE_A_CALL
from sipcore.registrar import RegistrarPolicy
from sipcore.transport.flow import Address, Flow
from tests.sipcore.conformance.peer import Header, Peer, come_to_rest
from tests.sipcore.conformance.test_registrar import Failing, listed
from tests.sipcore.simulation.phone import Outgoing, Phone, refuse_with, ring_forever, silent
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import (
    AT_ONCE_S,
    DOMAIN,
    KEY,
    ONE,
    SIZES,
    Size,
    World,
    node_address,
    tls_address,
)

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB = f"sip:bob@{DOMAIN}"
INSTANCE = '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'
OUTBOUND = ("Supported", "path, outbound")
FOREIGN = "elsewhere.example"
REGISTRAR: Address = ("10.9.0.1", 5060)


def new_world(size: Size, policy: RegistrarPolicy | None = None, **config: Any) -> World:
    return World(1, size, ["anna", "bob", "clara"], policy=policy, tls=True, **config)


class Flowing(Phone):
    """A phone that registers a flow: by TLS, from one port after another."""

    def __init__(self, world: World, name: str = "bob", host: str = "10.1.0.2", port: int = 40001):
        super().__init__(world, name, (host, port), transport="TLS")
        self.contact = f"sip:{name}@192.168.7.7:5061;transport=tls"

    def _node(self) -> Address:
        return tls_address(0)

    def register_flow(
        self,
        reg_id: str = "1",
        *contacts: str,
        instance: str = INSTANCE,
        headers: Iterable[Header] = (OUTBOUND,),
        expires: int = 600,
        call_id: str = "",
    ) -> Response:
        request = self.build("REGISTER", f"sip:{DOMAIN}", call_id=call_id)
        request.set("To", f"<sip:{self.name}@{DOMAIN}>")
        params = f";+sip.instance={instance}" if instance else ""
        params += f";reg-id={reg_id}" if reg_id else ""
        request.set("Contact", f"<{self.contact}>{params};expires={expires}")
        for row in contacts:
            request.append("Contact", row)
        for header in headers:
            request.append(*header)
        outgoing = self.start(request, self._node())
        self.world.run(1)
        return outgoing.finals[0]


def called(world: World, who: str = "bob", seconds: float = 2.0) -> Outgoing:
    """anna calls, by the node that has bob's connections."""
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    anna._node = lambda: node_address(0)  # type: ignore[method-assign]
    outgoing = anna.call(who)
    world.run(seconds)
    return outgoing


def invites(phone: Phone) -> int:
    return sum(r.method == "INVITE" for r in phone.received)


def through(world: World, *, path: str, headers: Iterable[Header] = (), params: str) -> Outgoing:
    """bob's REGISTER as a proxy at 10.7.0.1 sends it on."""
    proxy = Phone(world, "bob", ("10.7.0.1", 5060))
    request = proxy.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<{BOB}>")
    request.set("Contact", f"<sip:bob@192.168.7.7>{params}")
    if path:
        request.append("Path", path)
    for header in headers:
        request.append(*header)

    def transact(outgoing: Outgoing) -> None:
        outgoing.request.remove("Via")
        outgoing.request.append("Via", "SIP/2.0/TCP 192.168.7.7:5061;branch=z9hG4bKphone")
        outgoing.request.push("Via", f"SIP/2.0/UDP 10.7.0.1:5060;branch=z9hG4bK{proxy._id()}")
        flow = Flow("UDP", proxy.address, outgoing.destination)
        outgoing.tx = proxy.transactions.request(
            outgoing.request, flow, proxy.network.now, outgoing
        )
        proxy._set_timer()

    proxy._launch = transact  # type: ignore[method-assign]
    outgoing = proxy.start(request, world.nodes[0].address)
    world.run(1)
    return outgoing


# --- REG-20 to REG-23: the registrar --------------------------------------------------------------
@pytest.mark.rfc("REG-20", "REG-23")
@pytest.mark.parametrize(
    ("path", "supported", "status", "applied"),
    [
        ("<sip:t@10.7.0.1;lr;ob>", "path, outbound", 200, True),
        ("<sip:t@10.7.0.1;lr;ob>", "path", 200, True),
        ("<sip:10.7.0.1;lr>", "path, outbound", 439, False),
        ("<sip:10.7.0.1;lr>, <sip:t@10.7.0.2;lr;ob>", "path, outbound", 439, False),
        ("", "path, outbound", 439, False),
        ("<sip:10.7.0.1;lr>", "path", 200, False),
        ("", "path", 200, False),
    ],
)
def test_outbound_needs_a_first_hop_that_does_it(
    size: Size, path: str, supported: str, status: int, applied: bool
) -> None:
    world = new_world(size)
    outgoing = through(
        world,
        path=path,
        headers=[("Supported", supported)],
        params=f";+sip.instance={INSTANCE};reg-id=1",
    )
    response = outgoing.finals[0]
    assert response.status == status
    required = applied and "outbound" in supported
    assert ("outbound" in response.require) == required
    stored = [b for line in world.store.load() for b in line.bindings]
    assert len(stored) == (status == 200)
    assert [b.reg_id for b in stored] == [int(applied)] * len(stored)
    if status == 200:
        [params] = listed(response).values()
        assert ("reg-id=1" in params) == applied


@pytest.mark.rfc("REG-20", "REG-23")
def test_who_registers_no_flow_needs_no_such_first_hop(size: Size) -> None:
    world = new_world(size)
    params = f";+sip.instance={INSTANCE}"
    response = through(world, path="<sip:10.7.0.1;lr>", headers=[OUTBOUND], params=params).finals[0]
    assert response.status == 200
    assert response.require == []


@pytest.mark.rfc("REG-21", "REG-23")
@pytest.mark.parametrize("transport", ["TLS", "UDP"])
def test_a_flow_is_known_by_instance_and_reg_id_alone(size: Size, transport: str) -> None:
    world = new_world(size)
    first = Flowing(world)
    if transport == "UDP":
        first.transport = "UDP"
        first._node = lambda: node_address(0)  # type: ignore[method-assign]
    response = first.register_flow()
    assert (response.status, response.require) == (200, ["outbound"])
    later = Flowing(world, host="10.1.0.3", port=40077)
    later.contact = "sip:somebody@192.168.9.9:5070;transport=tls"
    response = later.register_flow(call_id="after-reboot")
    assert list(listed(response)) == [later.contact]
    assert ";reg-id=1" in listed(response)[later.contact]
    assert called(world).status == 200
    assert (invites(first), invites(later)) == (0, 1)
    # Another reg-id of it is another binding, another instance's too.
    assert len(later.register_flow("2").values("contact")) == 2
    other = INSTANCE.replace("f81d", "0000")
    assert len(later.register_flow("1", instance=other).values("contact")) == 3


@pytest.mark.rfc("REG-21", "REG-23")
def test_a_reg_id_of_no_instance_is_nothing(size: Size) -> None:
    world = new_world(size)
    phone = Flowing(world)
    response = phone.register_flow("1", instance="")
    assert response.status == 200
    assert response.require == []
    assert "reg-id" not in listed(response)[phone.contact]
    # So another contact does not take its place.
    phone.contact = "sip:other@192.168.7.8:5061;transport=tls"
    assert len(listed(phone.register_flow("1", instance=""))) == 2


@pytest.mark.rfc("REG-22")
def test_one_registration_is_of_one_flow(size: Size) -> None:
    world = new_world(size)
    phone = Flowing(world)
    more = "<sip:bob@192.168.7.8:5061;transport=tls>"
    assert phone.register_flow("1", f"{more};expires=600").status == 400
    two = f"<{phone.contact}>;+sip.instance={INSTANCE};reg-id=2;expires=600"
    assert phone.register_flow("1", two).status == 400
    assert world.store.load() == []
    assert phone.register_flow("1", f"{more};expires=0").status == 200  # what goes may come along


# --- REG-26: choosing among flows -----------------------------------------------------------------
def two_flows(world: World) -> tuple[Flowing, Flowing]:
    """bob's phone by two connections; the second is the newer."""
    first, second = Flowing(world), Flowing(world, port=40002)
    assert first.register_flow("1").status == 200
    assert len(second.register_flow("2", expires=700).values("contact")) == 2
    return first, second


@pytest.mark.rfc("REG-26")
def test_a_phone_with_two_flows_rings_by_one(size: Size) -> None:
    world = new_world(size)
    first, second = two_flows(world)
    assert called(world).status == 200
    assert (invites(first), invites(second)) == (0, 1)


@pytest.mark.rfc("REG-26")
@pytest.mark.parametrize("status", [480, 486, 404, 500, 503, 603])
def test_what_a_phone_answers_counts_for_all_its_flows(size: Size, status: int) -> None:
    world = new_world(size)
    first, second = two_flows(world)
    second.on_invite = refuse_with(status)
    assert called(world).status == (500 if status == 503 else status)
    assert (invites(first), invites(second)) == (0, 1)
    come_to_rest(world)


@pytest.mark.rfc("REG-26")
@pytest.mark.parametrize("status", [430, 408])
def test_a_failed_flow_is_followed_by_the_next(size: Size, status: int) -> None:
    world = new_world(size)
    first, second = two_flows(world)
    second.on_invite = refuse_with(status)
    assert called(world).status == 200
    assert (invites(first), invites(second)) == (1, 1)


@pytest.mark.rfc("REG-26")
def test_nobody_is_told_of_flows(size: Size) -> None:
    world = new_world(size)
    first, second = two_flows(world)
    first.on_invite = second.on_invite = refuse_with(430)
    assert called(world).status == 480
    assert (invites(first), invites(second)) == (1, 1)
    come_to_rest(world)


@pytest.mark.rfc("REG-26")
def test_a_flow_that_says_nothing_is_followed_by_the_next(size: Size) -> None:
    world = new_world(size)
    first, second = two_flows(world)
    second.on_invite = silent
    world.network.detach(second.address)
    assert called(world, seconds=40).status == 200
    assert invites(first) == 1


@pytest.mark.rfc("PRX-21")
def test_the_next_flow_has_all_the_time_to_ring(size: Size) -> None:
    """Timer C is one for each client transaction (RFC 3261 §16.6 item 11)."""
    world = new_world(size)
    first, second = two_flows(world)
    second.on_invite = refuse_with(430, 170)
    first.on_invite = silent  # it says 100
    outgoing = called(world, seconds=172)
    assert invites(first) == 1
    world.run(178)
    assert [r.method for r in first.received] == ["INVITE"]
    assert outgoing.status == 0
    world.run(10)
    assert [r.method for r in first.received] == ["INVITE", "CANCEL"]
    come_to_rest(world)


@pytest.mark.rfc("REG-26")
@pytest.mark.parametrize("unheard", [False, True], ids=["heard of", "found when used"])
def test_a_cut_connection_is_out_of_the_way(size: Size, unheard: bool) -> None:
    world = new_world(size)
    first, second = two_flows(world)
    world.nodes[0].cut(second.address, unheard=unheard)
    world.run(1)
    assert called(world).status == 200
    assert (invites(first), invites(second)) == (1, 0)
    # And its binding is gone (RFC 5626 §7).
    [line] = world.store.load()
    assert [b.reg_id for b in line.bindings] == [1]
    world.nodes[0].cut(first.address, unheard=unheard)
    assert called(world, seconds=40).status == 480
    [line] = world.store.load()
    assert line.bindings == ()


def lost_flows(world: World) -> list[Flow]:
    """What bindings lead to, and is gone."""
    gone = world.nodes[0]._cut
    flows = [b.flow for line in world.store.load() for b in line.bindings if b.flow is not None]
    return [flow for flow in flows if flow.connection in gone]


@pytest.mark.parametrize("after_ms", range(2, 120, 2))
def test_a_connection_that_ends_while_it_registers_leaves_no_binding(
    size: Size, after_ms: int
) -> None:
    world = new_world(size)
    bob = Flowing(world)
    request = bob.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<{BOB}>")
    request.set("Contact", f"<{bob.contact}>")
    bob.start(request, tls_address(0))
    world.run(after_ms / 1000)
    if bob.address in world.nodes[0]._connections:
        world.nodes[0].cut(bob.address)
    world.run(3)
    assert lost_flows(world) == []


def test_what_a_failed_store_did_not_take_is_removed_when_it_is_back(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else asks for it again: the account is suspended, the connection gone."""
    world = new_world(size)
    registered(world, "bob", "10.1.0.2")
    clara = Flowing(world, "clara")
    clara.register_flow()
    bindings = [b for line in world.store.load() for b in line.bindings]
    assert len(bindings) == 2
    account = world.directory.resolve("bob", DOMAIN)
    assert account is not None
    suspended = replace(account, state=AccountState.SUSPENDED)
    with monkeypatch.context() as patch:
        patch.setattr(world, "store", Failing(world))
        directory = world.directory.changed(version=2, accounts=[suspended])
        world.change_directory(directory, [account.id])
        world.nodes[0].cut(clara.address)
        world.run(12)
    assert [b for line in world.store.load() for b in line.bindings] == bindings
    world.run(RETRY_S + 1)
    assert [b for line in world.store.load() for b in line.bindings] == []
    world.run(40)
    world.check_nothing_left()


def test_all_who_registered_by_a_connection_go_with_it(size: Size) -> None:
    world = new_world(size)
    bob = Flowing(world)
    bob.register_flow()
    clara = Flowing(world, "clara")
    clara.register_flow()
    assert sum(len(line.bindings) for line in world.store.load()) == 2
    world.nodes[0].cut(bob.address)
    world.run(1)
    assert sum(len(line.bindings) for line in world.store.load()) == 0


@pytest.mark.rfc("REG-26")
def test_who_hangs_up_first_rings_no_other_flow(size: Size) -> None:
    world = new_world(size)
    first, second = two_flows(world)
    second.on_invite = ring_forever
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    outgoing = anna.call("bob")
    world.run(1)
    anna.cancel(outgoing)
    world.run(1)
    assert outgoing.status == 487
    assert (invites(first), invites(second)) == (0, 1)
    come_to_rest(world)


def test_a_phone_that_comes_back_by_another_connection_goes_on_with_its_call(size: Size) -> None:
    world = new_world(size)
    bob = Flowing(world)
    bob.register_flow()
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    anna._node = lambda: node_address(0)  # type: ignore[method-assign]
    calling = anna.call("bob")
    world.run(2)
    [dialog] = calling.dialogs.values()
    [mine] = bob.dialogs.values()
    world.nodes[0].cut(bob.address)
    bob.address = ("10.1.0.2", 40009)
    world.network.attach(bob.address, bob._receive)
    assert bob.register_flow().status == 200
    bye = anna.hang_up(dialog)
    world.run(2)
    assert bye is not None
    assert bye.status == 200
    assert mine.ended
    world.check_calls()
    assert called(world).status == 200


def come_back(world: World, bob: Flowing) -> None:
    """bob's connection is lost, and he registers by another one."""
    world.nodes[0].cut(bob.address)
    bob.address = ("10.1.0.2", 40009)
    world.network.attach(bob.address, bob._receive)
    assert bob.register_flow().status == 200


def test_our_own_bye_reaches_a_phone_that_has_come_back_by_another_connection(size: Size) -> None:
    world = new_world(size)
    bob = Flowing(world)
    bob.register_flow()
    calling = called(world)
    [dialog] = calling.dialogs.values()
    [mine] = bob.dialogs.values()
    come_back(world, bob)
    anna = world.directory.account(1)
    assert anna is not None
    gone = replace(anna, state=AccountState.SUSPENDED, end_calls=True)
    world.change_directory(world.directory.changed(version=2, accounts=[gone]), [1])
    world.run(AT_ONCE_S)
    assert dialog.ended
    assert mine.ended
    world.check_calls()


def test_a_phone_that_has_come_back_through_a_proxy_is_not_looked_for_where_the_proxy_is(
    size: Size,
) -> None:
    """What leads to the proxy does not lead to the phone: only its Path does, and no call has that."""
    world = new_world(size)
    bob = Flowing(world)
    bob.register_flow()
    calling = called(world)
    [dialog] = calling.dialogs.values()
    world.nodes[0].cut(bob.address)
    params = f";+sip.instance={INSTANCE}"
    path = "<sip:10.7.0.1;lr>"
    assert through(world, path=path, headers=[OUTBOUND], params=params).status == 200
    [line] = world.store.load()
    assert [(b.flow, b.path) for b in line.bindings] == [(None, (path,))]
    world.sent.clear()
    bye = calling.phone.hang_up(dialog)
    world.run(2)
    assert bye is not None
    assert bye.status == 480
    assert {flow.remote for flow in world.sent} == {bob.address, calling.phone.address}


# --- REG-19: Service-Route -------------------------------------------------------------------------
@pytest.mark.rfc("REG-19")
def test_a_service_route_leads_through_us(size: Size) -> None:
    route = f"<sip:{node_address(0)[0]};lr>"
    world = new_world(size, RegistrarPolicy(service_route=(route,)))
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    registering = bob.register()
    world.run(1)
    assert registering.finals[0].rows("service-route") == [route]
    request = bob.build("MESSAGE", f"sip:clara@{DOMAIN}")
    request.set("Route", registering.finals[0].first("service-route") or "")
    clara = Phone(world, "clara", ("10.1.0.3", 5060))
    clara.register()
    world.run(1)
    sent = bob.start(request, node_address(0))
    world.run(1)
    assert sent.status == 200
    assert not clara.received[-1].has("route")
    leaving = bob.register(expires=0)
    world.run(1)
    assert not leaving.finals[0].has("service-route")  # who is not bound has no service
    with pytest.raises(ValueError, match="lr"):
        RegistrarPolicy(service_route=("<sip:10.0.0.1>",))


@pytest.mark.rfc("REG-19")
def test_without_one_none_is_told(size: Size) -> None:
    world = new_world(size)
    assert not Flowing(world).register_flow().has("service-route")


# --- REG-18, REG-24, REG-25: the edge proxy ----------------------------------------------------------
BY = pytest.mark.parametrize("by", ["UDP through a NAT", "TCP", "TLS"])
"""How phones reach the edge."""


class Edged:
    """A world whose nodes are the edge of a registrar elsewhere, and a phone of that one."""

    def __init__(self, size: Size, by: str = "TLS", *, named: bool = False) -> None:
        hop = f"sip:{'registrar.example' if named else REGISTRAR[0]}:{REGISTRAR[1]}"
        self.transport = by[:3]
        stream = "TLS" if self.transport == "UDP" else self.transport
        self.world = new_world(size, edge_for={FOREIGN: hop}, stream=stream)
        self.world.zone["registrar.example", "A"] = Answer(300.0, addresses=[REGISTRAR[0]])
        self.registrar = Peer(self.world, REGISTRAR)
        self.node = node_address(0) if self.transport == "UDP" else tls_address(0)
        """Where its phones find the first of our nodes."""
        self.param = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        self.phone = self.another(("10.1.0.8", 40001))

    def another(self, address: Address) -> Inside:
        return Inside(self.world, address, self.transport)

    def registered(self, *headers: Header, method: str = "REGISTER") -> Request:
        """The phone's request as the registrar gets it."""
        uri = f"sip:{FOREIGN}" if method == "REGISTER" else f"sip:dora@{FOREIGN}"
        sender = f"sip:carl@{FOREIGN}"
        request = self.phone.build(method, uri, *headers, sender=sender)
        self.phone.send(request, self.node)
        self.world.run(0.2)
        return self.registrar.requests(method)[-1]

    def path(self) -> str:
        """What the registrar has learnt."""
        return self.registered().values("path")[0]

    def back(self, method: str, route: str, *headers: Header, to: Address | None = None) -> Request:
        """A request of the registrar's for the phone."""
        uri = f"sip:carl@192.168.3.3:40001{self.param}"
        request = self.registrar.build(method, uri, ("Route", route), *headers)
        self.registrar.send(request, to)
        self.world.run(0.2)
        return request


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("Proxy-Require", "privacy"), 420),
        (("Max-Forwards", "0"), 483),
        (("Max-Breadth", "x"), 400),
    ],
    ids=["Proxy-Require", "Max-Forwards", "Max-Breadth"],
)
@pytest.mark.parametrize("inside", [False, True], ids=["new", "inside a call"])
def test_the_ack_of_what_the_edge_refused_goes_no_further(
    size: Size, header: Header, status: int, inside: bool
) -> None:
    edged = Edged(size)
    path = edged.path()
    to = [("To", f"<sip:carl@{FOREIGN}>;tag=z")] if inside else []
    invite = edged.back("INVITE", path, header, *to)
    failure = edged.registrar.responses[-1]
    same = ((name, invite.first(name) or "") for name in ("via", "from"))
    ids = (("Call-ID", invite.call_id), ("CSeq", "1 ACK"), ("To", failure.first("to") or ""))
    ack = edged.registrar.build("ACK", invite.uri_text, ("Route", path), *same, *ids)
    edged.registrar.send(ack)
    edged.world.run(0.3)
    assert failure.status == status
    assert not edged.phone.requests("ACK")


@pytest.mark.rfc("PRX-04")
@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "MESSAGE"])
def test_a_request_for_a_phone_of_the_edge_needs_a_hop_left(size: Size, method: str) -> None:
    """Its Request-URI may be ours: it is the Route that says where it ends."""
    edged = Edged(size)
    path = edged.path()
    edged.phone.arrived.clear()
    uri = f"sip:{node_address(0)[0]}"
    headers = ("Route", path), ("Max-Forwards", "0")
    edged.registrar.send(edged.registrar.build(method, uri, *headers))
    edged.world.run(0.3)
    assert edged.registrar.statuses[-1] == 483
    assert edged.phone.requests() == []


class Inside(Peer):
    """A peer that names an address of its house, at which nobody outside reaches it."""

    def __init__(self, world: World, address: Address, transport: str) -> None:
        super().__init__(world, address)
        self.transport = transport

    def via(self, extra: str = "") -> str:
        _, _, params = super().via(extra).partition(";")
        return f"SIP/2.0/{self.transport} 192.168.3.3:5060;rport;{params}"


def uri_params(value: str) -> str:
    return value.partition("@")[2].rstrip(">")


@BY
@pytest.mark.rfc("REG-18", "REG-24")
def test_the_first_hop_puts_its_flow_on_top_of_the_path(size: Size, by: str) -> None:
    edged = Edged(size, by)
    arrived = edged.registered(("Path", "<sip:p1.example;lr>"), ("Supported", "path, outbound"))
    path = arrived.values("path")
    assert path[1:] == ["<sip:p1.example;lr>"]
    host, port = edged.node
    assert uri_params(path[0]) == f"{host}:{port}{edged.param};lr;ob"
    assert not arrived.has("record-route")
    other = edged.another(("10.1.0.8", 40002))
    other.send(
        other.build("REGISTER", f"sip:{FOREIGN}", sender=f"sip:carl@{FOREIGN}"), edged.node
    )
    edged.world.run(0.2)
    assert edged.registrar.requests("REGISTER")[-1].values("path")[0] != path[0]
    # The answer goes back as it is, by the connection.
    edged.registrar.answer(arrived, 200, ("Path", path[0]), ("Require", "outbound"))
    edged.world.run(0.2)
    assert edged.phone.responses[-1].require == ["outbound"]


@BY
@pytest.mark.rfc("REG-18", "REG-24")
def test_a_later_hop_is_not_on_the_path(size: Size, by: str) -> None:
    edged = Edged(size, by)
    before = "SIP/2.0/UDP 192.168.3.3:5060;branch=z9hG4bKfurther"
    arrived = edged.registered(("Via", edged.phone.via()), ("Via", before))
    assert all("ob" not in value for value in arrived.values("path"))
    assert arrived.values("path") == []


@BY
@pytest.mark.rfc("REG-18")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "PUBLISH"])
def test_only_registers_have_a_path(size: Size, by: str, method: str) -> None:
    edged = Edged(size, by)
    arrived = edged.registered(method=method)
    assert not arrived.has("path")
    records = arrived.values("record-route")
    ours = 1 if edged.transport == "UDP" else 2  # where the transport changes (RFC 5658)
    assert len(records) == (ours if method in ("INVITE", "SUBSCRIBE") else 0)
    assert all(";lr" in value and ";ob" not in value for value in records)


@BY
@pytest.mark.rfc("REG-25")
def test_a_flow_token_leads_to_the_phone(size: Size, by: str) -> None:
    edged = Edged(size, by)
    path = edged.path()
    edged.back("MESSAGE", path)
    [message] = edged.phone.requests("MESSAGE")
    assert not message.has("route")
    assert not message.has("record-route")
    assert edged.phone.arrived[-1][2] == edged.node
    edged.phone.answer(message, 200, to=edged.node)
    edged.world.run(0.2)
    assert edged.registrar.statuses[-1] == 200


@BY
@pytest.mark.rfc("REG-25")
@pytest.mark.parametrize("hangs_up", ["phone", "registrar"])
def test_a_call_that_comes_by_a_flow_stays_on_it(size: Size, by: str, hangs_up: str) -> None:
    edged = Edged(size, by)
    path = edged.path()
    edged.back("INVITE", path)
    [invite] = edged.phone.requests("INVITE")
    records = invite.values("record-route")
    token = path.partition("@")[0]
    assert {value.partition("@")[0] for value in records} == {token}
    assert len(records) == (1 if edged.transport == "UDP" else 2)
    assert all(";ob" not in value for value in records)
    edged.phone.answer(invite, 200, to=edged.node)
    edged.world.run(0.2)
    assert edged.registrar.statuses[-1] == 200
    tags = ("From", invite.first("from") or ""), ("To", f"{invite.first('to')};tag=t")
    same = ("Call-ID", invite.call_id)
    if hangs_up == "registrar":
        routes = [("Route", value) for value in reversed(records)]
        for number, method in (("1", "ACK"), ("2", "BYE")):
            uri = f"sip:carl@192.168.3.3:40001{edged.param}"
            cseq = ("CSeq", f"{number} {method}")
            edged.registrar.send(edged.registrar.build(method, uri, *routes, *tags, same, cseq))
            edged.world.run(0.2)
            [arrived] = edged.phone.requests(method)
            assert not arrived.has("route")
        return
    tags = ("From", tags[1][1]), ("To", tags[0][1])
    routes = [("Route", value) for value in records]
    bye = edged.phone.build("BYE", f"sip:mallory@{REGISTRAR[0]}:5060", *routes, *tags, same)
    edged.phone.send(bye, edged.node)
    edged.world.run(0.2)
    [arrived] = edged.registrar.requests("BYE")
    assert not arrived.has("route")


@BY
@pytest.mark.rfc("REG-25")
def test_a_token_that_nobody_made_is_refused(size: Size, by: str) -> None:
    edged = Edged(size, by)
    path = edged.path()
    for at in (2, 12, 24, 40):
        bad = path[:at] + ("A" if path[at] != "A" else "B") + path[at + 1 :]
        edged.back("MESSAGE", bad)
        assert edged.registrar.statuses[-1] == 403
    edged.back("MESSAGE", path.replace("<sip:", "<sip:A"))
    assert edged.registrar.statuses[-1] == 403
    assert edged.phone.requests("MESSAGE") == []


@pytest.mark.rfc("REG-25")
@pytest.mark.parametrize("by", ["TCP", "TLS"])
@pytest.mark.parametrize("how", ["cut", "restart"])
def test_a_flow_that_is_gone_is_said_to_be(size: Size, by: str, how: str) -> None:
    edged = Edged(size, by)
    path = edged.path()
    node = edged.world.nodes[0]
    if how == "cut":
        node.cut(edged.phone.address)
    else:
        for slot in range(size.workers):
            node.kill_worker(slot, 0.1)
        edged.world.run(0.5)
    edged.back("INVITE", path)
    assert edged.registrar.statuses[-1] == 430
    edged.world.run(40)
    assert edged.phone.requests("INVITE") == []


@pytest.mark.rfc("REG-25")
def test_a_flow_that_is_no_connection_is_there_after_a_restart(size: Size) -> None:
    edged = Edged(size, "UDP through a NAT")
    path = edged.path()
    for slot in range(size.workers):
        edged.world.nodes[0].kill_worker(slot, 0.1)
    edged.world.run(0.5)
    edged.back("MESSAGE", path)
    assert len(edged.phone.requests("MESSAGE")) == 1


@pytest.mark.rfc("REG-25")
def test_a_flow_to_a_socket_that_we_no_longer_have_is_gone(size: Size) -> None:
    edged = Edged(size, "UDP through a NAT")
    before = Flow("UDP", ("10.0.0.1", 5070), edged.phone.address)
    token = FlowTokens((KEY,), node_number=0, incarnation=1).make(before, FOREIGN)
    edged.back("MESSAGE", f"<sip:{token}@10.0.0.1:5060;lr;ob>")
    assert edged.registrar.statuses[-1] == 430
    assert edged.phone.requests("MESSAGE") == []


@BY
@pytest.mark.rfc("REG-25")
def test_a_phone_sends_to_its_registrar_alone(size: Size, by: str) -> None:
    """No open relay: whatever its Route says behind the token."""
    edged = Edged(size, by)
    route = edged.path()
    victim = Peer(edged.world, ("10.66.0.1", 5060))
    headers = [("Route", route), ("Route", "<sip:10.66.0.1;lr>")]
    request = edged.phone.build("MESSAGE", "sip:x@10.66.0.1", *headers)
    edged.phone.send(request, edged.node)
    edged.world.run(1)
    assert victim.arrived == []
    assert len(edged.registrar.requests("MESSAGE")) == 1


@BY
@pytest.mark.rfc("REG-25")
def test_two_phones_of_one_edge_talk_through_a_registrar_that_keeps_off_the_path(
    size: Size, by: str
) -> None:
    edged = Edged(size, by)
    invite = edged.registered(method="INVITE")
    by_caller = invite.values("record-route")
    other = edged.another(("10.1.0.9", 40001))
    register = other.build("REGISTER", f"sip:{FOREIGN}", sender=f"sip:dora@{FOREIGN}")
    other.send(register, edged.node)
    edged.world.run(0.2)
    to_other = edged.registrar.requests("REGISTER")[-1].values("path")[0]
    # A BYE by the route that the INVITE's way through edge, registrar and edge has made.
    routes = [("Route", value) for value in [*reversed(by_caller), to_other]]
    tags = ("To", f"<sip:dora@{FOREIGN}>;tag=d")
    bye = edged.phone.build("BYE", "sip:dora@192.168.3.9", *routes, tags)
    edged.phone.send(bye, edged.node)
    edged.world.run(0.2)
    [arrived] = edged.registrar.requests("BYE")
    assert arrived.values("route") == [to_other]
    arrived.push("Via", edged.registrar.via())
    edged.registrar.send(arrived)
    edged.world.run(0.2)
    [arrived] = other.requests("BYE")
    assert not arrived.has("route")


@BY
@pytest.mark.rfc("EVT-13")
def test_every_notify_through_the_edge_tells_the_way_back(size: Size, by: str) -> None:
    """One that overtakes the 2xx makes the dialog: its route must be that of the SUBSCRIBE."""
    edged = Edged(size, by)
    arrived = edged.registered(("Event", "presence"), method="SUBSCRIBE")
    route = arrived.record_routes[0]
    subscriber = ("To", arrived.first("from") or ""), ("Call-ID", arrived.call_id)
    edged.back("NOTIFY", route, *subscriber, ("Event", "presence"))
    [news] = edged.phone.requests("NOTIFY")
    user = route.partition("@")[0]
    assert news.record_routes
    assert {value.partition("@")[0] for value in news.record_routes} == {user}
    # And the phone's own, where it was subscribed to.
    notify = edged.phone.build(
        "NOTIFY", f"sip:dora@{FOREIGN}", ("Route", route), ("To", f"<sip:dora@{FOREIGN}>;tag=d")
    )
    edged.phone.send(notify, edged.node)
    edged.world.run(0.2)
    [news] = edged.registrar.requests("NOTIFY")
    assert {value.partition("@")[0] for value in news.record_routes} == {user}


JUDGED = [
    # method, headers; and what becomes of it from somebody who has the token, from the registrar
    ("INVITE", [], 0, 0),
    ("MESSAGE", [], 0, 0),
    ("INVITE", [("Event", "talk")], 403, 0),
    ("INVITE", [("Replaces", "x;to-tag=a;from-tag=b")], 403, 0),
    ("INVITE", [("Join", "x;to-tag=a;from-tag=b")], 403, 0),
    ("OPTIONS", [], 405, 0),
    ("NOTIFY", [("Event", "message-summary")], 405, 0),
    ("NOTIFY", [("Event", "check-sync")], 405, 0),
    ("SUBSCRIBE", [("Event", "dialog")], 405, 0),
    ("REFER", [("Refer-To", "<sip:premium@elsewhere.example>")], 405, 0),
    ("PUBLISH", [("Event", "presence")], 405, 0),
    ("BYE", [], 405, 0),
    ("INFO", [], 405, 0),
    ("UPDATE", [], 405, 0),
    ("REGISTER", [], 405, 0),
    ("JUGGLE", [], 405, 0),
    # Inside a call, too: whoever was in one has the token.
    ("NOTIFY", [("To", f"<sip:carl@{FOREIGN}>;tag=z"), ("Event", "talk")], 403, 0),
    ("NOTIFY", [("To", f"<sip:carl@{FOREIGN}>;tag=z"), ("Event", '"')], 403, 0),
    ("NOTIFY", [("To", f"<sip:carl@{FOREIGN}>;tag=z"), ("Event", "dialog")], 0, 0),
    ("INVITE", [("To", f"<sip:carl@{FOREIGN}>;tag=z"), ("Replaces", "x;to-tag=a;from-tag=b")], 403, 0),
    ("INFO", [("To", f"<sip:carl@{FOREIGN}>;tag=z")], 0, 0),
]


@BY
@pytest.mark.parametrize("named", [False, True], ids=["by address", "by name"])
@pytest.mark.parametrize(("method", "headers", "status", "of_the_registrar"), JUDGED)
def test_whoever_learns_a_token_may_do_with_it_what_strangers_may(
    size: Size,
    by: str,
    named: bool,
    method: str,
    headers: list[Header],
    status: int,
    of_the_registrar: int,
) -> None:
    # Where it is named each worker learns for itself where it is.
    edged = Edged(ONE if named else size, by, named=named)
    path = edged.path()
    edged.registrar.answer(edged.registrar.requests("REGISTER")[-1], 200)  # from there it is known
    edged.world.run(0.2)
    node = edged.world.nodes[0].address
    edged.phone.arrived.clear()
    mallory = Peer(edged.world, ("203.0.113.9", 5060))
    for sender, expected in ((mallory, status), (edged.registrar, of_the_registrar)):
        sender.arrived.clear()
        uri = f"sip:carl@192.168.3.3:40001{edged.param}"
        sender.send(sender.build(method, uri, ("Route", path), *headers), node)
        edged.world.run(0.1)
        assert [status for status in sender.statuses if status >= 200] == [expected] * bool(expected)
        assert len(edged.phone.requests(method)) == (expected == 0)
        edged.phone.arrived.clear()


TELLING = [
    ("Alert-Info", "<http://x/>;info=alert-autoanswer"),
    ("Answer-Mode", "Auto"),
    ("Call-Info", "<sip:e>;answer-after=0"),
    ("Diversion", f"<sip:boss@{FOREIGN}>"),
    ("P-Asserted-Service", "urn:x"),
]


@BY
@pytest.mark.parametrize("header", TELLING, ids=lambda header: header[0])
def test_whoever_learns_a_token_has_no_phone_pick_up(size: Size, by: str, header: Header) -> None:
    edged = Edged(size, by)
    path = edged.path()
    node = edged.world.nodes[0].address
    mallory = Peer(edged.world, ("203.0.113.9", 5060))
    for sender, passes in ((mallory, False), (edged.registrar, True)):
        for method in ("INVITE", "ACK"):
            edged.phone.arrived.clear()
            uri = f"sip:carl@192.168.3.3:40001{edged.param}"
            to = ("To", f"<sip:carl@{FOREIGN}>;tag=z")
            sender.send(sender.build(method, uri, ("Route", path), to, header), node)
            edged.world.run(0.1)
            [arrived] = edged.phone.requests(method)
            assert arrived.has(header[0].lower()) == passes

@BY
def test_whoever_learns_a_token_sends_so_many_requests_with_it(size: Size, by: str) -> None:
    size = ONE if size is ONE else Size(2, 1)  # each worker counts for itself
    edged = Edged(size, by)
    path = edged.path()
    node = edged.world.nodes[0].address
    mallory = Peer(edged.world, ("203.0.113.9", 5060))
    edged.phone.arrived.clear()
    for _ in range(INSIDE_A_CALL + 30):
        uri = f"sip:carl@192.168.3.3:40001{edged.param}"
        mallory.send(mallory.build("MESSAGE", uri, ("Route", path)), node)
    edged.world.run(1)
    assert len(edged.phone.requests("MESSAGE")) == INSIDE_A_CALL
    assert mallory.statuses.count(480) == 30
    edged.registrar.send(edged.registrar.build("MESSAGE", uri, ("Route", path)), node)
    edged.world.run(0.3)
    assert len(edged.phone.requests("MESSAGE")) == INSIDE_A_CALL + 1


@BY
@pytest.mark.rfc("REG-25")
def test_any_node_takes_a_token_to_the_node_that_has_the_flow(size: Size, by: str) -> None:
    edged = Edged(size, by)
    path = edged.path()
    last = edged.world.nodes[-1].address
    edged.back("MESSAGE", path, to=last)
    assert len(edged.phone.requests("MESSAGE")) == 1


@pytest.mark.rfc("REG-25")
def test_where_we_are_no_edge_a_user_part_in_our_route_is_nothing(size: Size) -> None:
    world = new_world(size)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register()
    world.run(1)
    request = bob.build("MESSAGE", BOB)
    request.set("Route", f"<sip:bob@{node_address(0)[0]};lr>")
    outgoing = bob.start(request, node_address(0))
    world.run(1)
    assert outgoing.status == 200


# --- keep-alives from our side ------------------------------------------------------------------------
class Raw:
    """Whoever is at an address: all datagrams that arrive."""

    def __init__(self, world: World, address: Address) -> None:
        self.came: list[tuple[float, bytes]] = []
        self.world = world
        self.address = address
        world.network.attach(address, self._receive)

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        self.came.append((now, data))

    def pings(self) -> list[float]:
        return [now for now, data in self.came if data == b"\r\n\r\n"]


def live(world: World, seconds: int) -> None:
    """Time passes, and the nodes look around every second, as real ones do."""
    for _ in range(seconds):
        world.run(1)
        for node in world.nodes:
            for slot, place in enumerate(node.slots):
                if place.worker is not None:
                    place.worker.sweep(world.network.now, world.network.at)
                    node.flush(slot)


def behind_nat(world: World, port: int = 3072) -> Raw:
    """bob registered through a NAT, and then only listens."""
    bob = Phone(world, "bob", ("10.1.0.2", port))
    bob._node = lambda: node_address(0)  # type: ignore[method-assign]
    bob.contact = "sip:bob@192.168.7.7:5060"
    outgoing = bob.register(expires=200)
    world.run(1)
    assert outgoing.status == 200
    return Raw(world, bob.address)


def test_a_flow_through_a_nat_is_kept_open_for_as_long_as_it_is_registered(size: Size) -> None:
    world = new_world(size)
    raw = behind_nat(world)
    live(world, 300)
    gaps = [b - a for a, b in zip(raw.pings(), raw.pings()[1:], strict=False)]
    assert raw.pings()[-1] < 205
    assert len(raw.pings()) == 7
    assert all(24 <= gap <= 29 for gap in gaps)
    assert all(len(w.keep_alives) == 0 for w in world.workers)


@pytest.mark.parametrize("ping", [b"\r\n\r\n", b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)])
def test_who_keeps_a_flow_open_gets_no_pings_on_it(size: Size, ping: bytes) -> None:
    world = new_world(size)
    raw = behind_nat(world)
    for _ in range(6):
        world.network.send(ping, raw.address, node_address(0))
        live(world, 28)
    # Of several workers the one that has the binding need not be the one that heard it.
    assert (raw.pings() == []) is (size.workers == 1)


def test_who_is_reached_as_he_says_gets_no_pings(size: Size) -> None:
    world = new_world(size)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register()
    world.run(1)
    raw = Raw(world, bob.address)
    live(world, 100)
    assert raw.came == []


def test_a_flow_that_has_moved_is_left_alone(size: Size) -> None:
    world = new_world(size)
    old = behind_nat(world)
    new = behind_nat(world, 3073)
    live(world, 90)
    assert old.pings() == []
    assert len(new.pings()) == 3


def test_a_worker_that_starts_again_goes_on_with_it(size: Size) -> None:
    world = new_world(size)
    raw = behind_nat(world)
    for slot in range(size.workers):
        world.nodes[0].kill_worker(slot, 0.1)
    live(world, 60)
    assert raw.pings()


def test_a_flow_of_two_accounts_is_kept_open_until_both_have_left(size: Size) -> None:
    world = new_world(size)
    bob, clara = Phone(world, "bob", ("10.1.0.2", 3072)), Phone(world, "clara", ("10.1.0.2", 3072))
    for one in (bob, clara):
        one._node = lambda: node_address(0)  # type: ignore[method-assign]
        one.contact = f"sip:{one.name}@192.168.7.7:5060"
        world.network.attach(one.address, one._receive)
        one.register(expires=600)
        world.run(1)
    clara.register(expires=0)
    world.run(1)
    raw = Raw(world, bob.address)
    live(world, 300)
    assert len(raw.pings()) == 12
    world.network.attach(bob.address, bob._receive)
    bob.register(expires=0)
    world.run(1)
    live(world, 60)
    assert all(len(w.keep_alives) == 0 for w in world.workers)
