"""What RFC 3261 §10.3 and its updates ask of a registrar, seen from the phones around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pytest

from sipcore.bindings import BindingChange, StoreResult
from sipcore.directory import Account, Device, Domain, DomainAddress
from sipcore.message import Response
from sipcore.registrar import RegistrarPolicy
from tests.sipcore.conformance.peer import Header, Peer, new_world, peer_of, phone
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World, ha1, secret_of

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB = f"sip:bob@{DOMAIN}"


class Registering:
    """bob at his phone, who sends any REGISTER, and the peers that his contacts lead to."""

    def __init__(self, world: World, host: str = "10.1.0.2") -> None:
        self.world = world
        self.host = host
        self.phone = Phone(world, "bob", (host, 5060))
        self.phone.rport = ""  # its contacts are where others of these tests listen

    def contact(self, port: int) -> str:
        return f"sip:bob@{self.host}:{port}"

    def send(
        self,
        *contacts: str,
        to: str = BOB,
        uri: str = f"sip:{DOMAIN}",
        headers: Iterable[Header] = (),
        call_id: str = "",
        cseq: int | None = None,
    ) -> Outgoing:
        """A REGISTER with these Contact rows and no other."""
        if cseq is not None:
            self.phone._cseq = cseq - 1
        request = self.phone.build("REGISTER", uri, call_id=call_id or self.phone.register_call_id)
        request.set("To", f"<{to}>")
        request.remove("Contact")
        for value in contacts:
            request.append("Contact", value)
        for header in headers:
            request.append(*header)
        outgoing = self.phone.start(request, self.phone._node())
        self.world.run(1)
        return outgoing

    def final(self, *contacts: str, **kw: object) -> Response:
        return self.send(*contacts, **kw).finals[0]  # type: ignore[arg-type]

    def listed(self) -> dict[str, str]:
        """What a query lists: contact → its parameters."""
        return listed(self.final())


def listed(response: Response) -> dict[str, str]:
    """Contacts of a 200 with their parameters."""
    assert response.status == 200
    found = {}
    for value in response.values("contact"):
        uri, _, params = value[1:].partition(">")
        found[uri] = params
    assert len(found) == len(response.values("contact"))
    return found


def expires_of(params: str) -> int:
    match = re.search(r";expires=(\d+)", params)
    assert match is not None, params
    return int(match[1])


@pytest.mark.rfc("REG-01")
def test_record_route_means_nothing_to_a_registrar(size: Size) -> None:
    me = Registering(new_world(size))
    headers = [("Record-Route", "<sip:edge.example;lr>")]
    response = me.final(f"<{me.contact(5070)}>", headers=headers)
    assert response.status == 200
    assert not response.has("record-route")


@pytest.mark.rfc("REG-01")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "PUBLISH", "FOO"])
def test_a_registrar_as_such_takes_nothing_but_registers(size: Size, method: str) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    outgoing = anna.start(anna.build(method, f"sip:{DOMAIN}"), world.nodes[0].address)
    world.run(1)
    assert outgoing.status == 404  # there is nobody of no name


@pytest.mark.rfc("REG-01", "REG-03", "REG-05", "REG-07", "REG-35")
@pytest.mark.parametrize(
    ("contact", "to", "headers", "status"),
    [
        ("<sip:b@10.1.0.2>", BOB, [("Require", "teleport, path, x")], 420),
        ("<sip:b@10.1.0.2;bnc>", BOB, [], 420),
        ("<sip:10.1.0.2;bnc>", BOB, [("Require", "gin")], 420),
        ("<sip:10.1.0.2;bnc>", BOB, [("Proxy-Require", "gin")], 420),
        ("<sip:b@10.1.0.2>", f"sip:nobody@{DOMAIN}", [], 403),
        ("<sip:b@10.1.0.2>", "sip:bob@elsewhere.example", [], 404),
        ("<sip:b@10.1.0.2>", f"sip:anna@{DOMAIN}", [], 403),
        ("<sip:b@10.1.0.2>", "tel:1001", [], 400),
        ("*", BOB, [], 400),
        ("*", BOB, [("Expires", "60")], 400),
        ("*, <sip:b@10.1.0.2>", BOB, [("Expires", "0")], 400),
        ("<mailto:bob@campus.example>", BOB, [], 403),
        ("<sip:b@10.1.0.2>;expires=5", BOB, [], 423),
    ],
)
def test_what_is_refused_changes_nothing_and_is_never_6xx(
    size: Size, contact: str, to: str, headers: Sequence[Header], status: int
) -> None:
    world = new_world(size)
    me = Registering(world)
    me.final(f"<{me.contact(5070)}>;expires=600")
    response = me.final(contact, to=to, headers=headers)
    assert response.status == status
    unsupported = {tuple(r.split(", ")) for r in response.rows("unsupported")}
    if ("Require", "teleport, path, x") in headers:
        assert unsupported == {("teleport", "x")}
    elif status == 420:
        assert unsupported == {("gin",)}
    assert list(me.listed()) == [me.contact(5070)]


@pytest.mark.rfc("REG-04")
@pytest.mark.parametrize("secret", ["wrong", "another's", "none"])
def test_only_who_holds_the_address_binds_it(size: Size, secret: str) -> None:
    world = new_world(size)
    bob = Peer(world, ("10.1.0.2", 5060))
    headers: list[Header] = [("To", f"<{BOB}>")]
    if secret == "wrong":
        value = f'Digest username="bob", realm="campus", nonce="x", uri="sip:{DOMAIN}", response="{"0" * 32}"'
        headers.append(("Authorization", value))
    if secret == "another's":
        anna = Phone(world, "anna", ("10.1.0.1", 5060))
        request = anna.build("REGISTER", f"sip:{DOMAIN}")
        request.set("To", f"<{BOB}>")
        outgoing = anna.start(request, world.nodes[0].address)
        world.run(1)
        assert [r.status for r in outgoing.responses] == [401, 403]
    else:
        bob.send(bob.build("REGISTER", f"sip:{DOMAIN}", *headers, sender=BOB))
        world.run(1)
        assert bob.statuses == [401]
        assert bob.responses[0].has("www-authenticate")
    assert len(world.store) == 0


@pytest.mark.rfc("REG-05")
@pytest.mark.parametrize("to", ["anna", "1000", "nobody", "7777", "an%6Ea"])
def test_nobody_learns_by_a_register_which_names_and_numbers_there_are(size: Size, to: str) -> None:
    me = Registering(new_world(size))  # bob's
    response = me.final(f"<{me.contact(5070)}>", to=f"sip:{to}@{DOMAIN}")
    assert (response.status, response.reason) == (403, "To Not Yours")
    assert response.keys == ["via", "from", "to", "call-id", "cseq", "content-length"]


@pytest.mark.rfc("REG-04")
def test_who_has_the_secret_may_have_another_register_for_him(size: Size) -> None:
    """Third-party registration (RFC 3261 §10.2): From is the secretary's, To and credentials bob's."""
    world = new_world(size)
    me = Registering(world)
    request = me.phone.build("REGISTER", f"sip:{DOMAIN}")
    request.set("From", "<sip:secretary@elsewhere.example>;tag=s")
    request.set("To", f"<{BOB}>")
    outgoing = me.phone.start(request, me.phone._node())
    world.run(1)
    assert [r.status for r in outgoing.responses] == [401, 200]
    assert list(listed(outgoing.finals[0])) == list(me.listed()) == [me.contact(5060)]


@pytest.mark.rfc("REG-05")
@pytest.mark.parametrize(
    "to", [f"sip:b%6Fb@{DOMAIN.upper()};x=1;user=phone", f"sips:bob@{DOMAIN}", f"sip:1001@{DOMAIN}"]
)
def test_the_address_of_record_is_what_the_to_means(size: Size, to: str) -> None:
    world = new_world(size)
    me = Registering(world)
    me.final(f"<{me.contact(5070)}>", to=to)
    assert list(me.listed()) == [me.contact(5070)]


@pytest.mark.rfc("REG-05")
def test_an_address_of_another_domain_of_ours_is_not_found_in_this_one(size: Size) -> None:
    world = new_world(size)
    name, secret = "bob", secret_of("bob")
    both = [Domain(DOMAIN), Domain("lab.example")]
    world.change_directory(world.directory.changed(version=2, domains=both), [])
    me = Registering(world)
    assert me.final(f"<{me.contact(5070)}>", uri="sip:lab.example").status == 404
    device = Device(900, ha1("MD5", name, secret), ha1("SHA-256", name, secret))
    account = Account(2, name, DOMAIN, devices=(device,))
    moved = world.directory.changed(
        version=3, accounts=[account], addresses=[DomainAddress("lab.example", "b", 2)]
    )
    world.change_directory(moved, [2])
    for uri in ("sip:lab.example", "sip:10.0.0.1"):  # by name, and by our own address
        answer = me.final(f"<{me.contact(5070)}>", uri=uri, to="sip:b@lab.example")
        assert answer.status == 200


@pytest.mark.rfc("REG-06", "REG-13")
def test_without_a_contact_it_is_a_question(size: Size) -> None:
    world = new_world(size)
    me = Registering(world)
    assert me.listed() == {}
    me.final(f"<{me.contact(5070)}>;q=0.5, <{me.contact(5080)}>;expires=90")
    before = world.store.load()
    response = me.final()
    contacts = listed(response)
    assert set(contacts) == {me.contact(5070), me.contact(5080)}
    assert ";q=0.5" in contacts[me.contact(5070)]
    assert 80 <= expires_of(contacts[me.contact(5080)]) <= 90
    assert 3590 <= expires_of(contacts[me.contact(5070)]) <= 3600
    assert re.fullmatch(
        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
        response.first("date") or "",
    )
    assert world.store.load() == before


@pytest.mark.rfc("REG-07", "REG-08")
def test_a_star_takes_everything_back(size: Size) -> None:
    world = new_world(size)
    me = Registering(world)
    me.final(f"<{me.contact(5070)}>")
    me.final(f"<{me.contact(5080)}>", call_id="another")
    assert me.final("*", headers=[("Expires", "0")]).status == 200
    assert me.listed() == {}


@pytest.mark.rfc("REG-08", "REG-12")
@pytest.mark.parametrize("cseq", [50, 100])
@pytest.mark.parametrize("contact", ["<{}>;expires=0", "<{}>;q=0.1", "*"])
def test_what_comes_too_late_in_its_own_order_is_refused_whole(
    size: Size, contact: str, cseq: int
) -> None:
    world = new_world(size)
    me = Registering(world)
    me.final(f"<{me.contact(5070)}>", cseq=100)
    late = [contact.format(me.contact(5070))]
    if contact != "*":
        late.insert(0, f"<{me.contact(5080)}>")
    headers = [("Expires", "0")] if contact == "*" else []
    assert me.final(*late, cseq=cseq, headers=headers).status == 500
    [(kept, params)] = me.listed().items()
    assert kept == me.contact(5070)
    assert ";q=" not in params
    other = me.final(late[-1], cseq=1, headers=headers, call_id="another")
    assert other.status == 200  # another Call-ID has an order of its own
    assert [";q=0.1" in value for value in me.listed().values()] == [True] * ("q=" in contact)


@pytest.mark.rfc("REG-09")
@pytest.mark.parametrize(
    ("params", "header", "granted"),
    [
        (";expires=300", "900", 300),
        ("", "900", 900),
        ("", None, 3600),
        ("", "soon", 3600),
        (";expires=soon", "900", 3600),
        (";expires=99999999999", None, 7200),
        ("", "100000", 7200),
        ("", "000000000000000000000900", 900),
    ],
)
def test_an_interval_is_granted_or_shortened(
    size: Size, params: str, header: str | None, granted: int
) -> None:
    world = World(1, size, ["anna", "bob"], policy=RegistrarPolicy(spread_part=0))
    me = Registering(world)
    headers = [] if header is None else [("Expires", header)]
    contacts = listed(me.final(f"<{me.contact(5070)}>{params}", headers=headers))
    assert granted - 1 <= expires_of(contacts[me.contact(5070)]) <= granted


@pytest.mark.rfc("REG-10")
@pytest.mark.parametrize(("asked", "status"), [(1, 423), (599, 423), (600, 200), (0, 200)])
def test_too_brief_is_said_with_the_minimum(size: Size, asked: int, status: int) -> None:
    world = World(1, size, ["anna", "bob"], policy=RegistrarPolicy(min_expires_s=600))
    me = Registering(world)
    response = me.final(f"<{me.contact(5070)}>;expires={asked}")
    assert response.status == status
    assert response.first("min-expires") == ("600" if status == 423 else None)


@pytest.mark.rfc("REG-10")
def test_an_hour_is_never_too_brief(size: Size) -> None:
    policy = RegistrarPolicy(min_expires_s=5000, default_expires_s=5000)
    me = Registering(World(1, size, ["anna", "bob"], policy=policy))
    assert me.final(f"<{me.contact(5070)}>;expires=3599").status == 423
    contacts = listed(me.final(f"<{me.contact(5070)}>;expires=3600"))
    assert 3599 <= expires_of(contacts[me.contact(5070)]) <= 3600


@pytest.mark.rfc("REG-11")
@pytest.mark.parametrize(
    ("again", "same"),
    [
        ("sip:%62ob@10.1.0.2:5070;transport=udp;X=1", True),
        ("SIP:bob@10.1.0.2:5070;x=1;Transport=UDP;new=2", True),
        ("sip:Bob@10.1.0.2:5070;transport=udp;x=1", False),
        ("sip:bob@10.1.0.2:5070;x=1", False),
        ("sip:bob@10.1.0.2;transport=udp;x=1", False),
        ("sip:bob@10.1.0.2:5070;transport=udp;x=2", False),
    ],
)
def test_a_contact_is_the_same_when_its_uri_is_equal(size: Size, again: str, same: bool) -> None:
    me = Registering(new_world(size))
    me.final("<sip:bob@10.1.0.2:5070;transport=udp;x=1>")
    me.final(f"<{again}>")
    assert len(me.listed()) == (1 if same else 2)
    me.final(f"<{again}>;expires=0")
    assert len(me.listed()) == (0 if same else 1)


@pytest.mark.rfc("REG-12")
@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ("<mailto:x@y>", 403),
        ("<sip:x@10.1.0.2>;expires=1", 423),
        ("<sip:x@10.1.0.2;bnc>", 420),
        ("<sip:>", 400),
    ],
)
def test_one_bad_contact_and_none_is_taken(size: Size, bad: str, status: int) -> None:
    me = Registering(new_world(size))
    me.final(f"<{me.contact(5060)}>")
    response = me.final(f"<{me.contact(5070)}>", f"<{me.contact(5060)}>;expires=0", bad)
    assert response.status == status
    assert list(me.listed()) == [me.contact(5060)]


@pytest.mark.rfc("REG-12")
def test_a_store_that_fails_leaves_nothing_half_done(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world(size)
    me = Registering(world)
    me.final(f"<{me.contact(5060)}>")

    with monkeypatch.context() as patch:
        patch.setattr(world, "store", Failing(world))
        response = me.final(f"<{me.contact(5070)}>", f"<{me.contact(5060)}>;expires=0")
    assert (response.status, response.first("retry-after")) == (503, "5")  # it may be back soon
    assert list(me.listed()) == [me.contact(5060)]


class Failing:
    """A store that can be read and not written."""

    def __init__(self, world: World) -> None:
        self.load = world.store.load

    def commit(self, changes: Sequence[BindingChange]) -> list[StoreResult]:
        return [StoreResult(ok=False, version=0, bindings=None) for _ in changes]


@pytest.mark.rfc("REG-12")
def test_registers_of_one_address_are_done_one_after_another(size: Size) -> None:
    world = new_world(size)
    phones = [Phone(world, "bob", (f"10.1.3.{i + 1}", 5060)) for i in range(8)]
    outgoing = [made.register() for made in phones]
    world.run(3)
    sizes = sorted(len(o.finals[0].values("contact")) for o in outgoing)
    assert [o.status for o in outgoing] == [200] * 8
    assert sizes == list(range(1, 9))  # each sees those before it, and itself


@pytest.mark.rfc("REG-14", "REG-32")
@pytest.mark.parametrize(
    ("contact", "params"),
    [
        (
            "sip:b@10.1.0.2:5070;unknown=1;lr?Route=%3Csip:sip.example.com%3E",
            ';q=0.7;x-own;+y="a;b,c"',
        ),
        (
            "sip:b@10.1.0.2:5070",
            ';audio;video;+sip.foo="<String, x>";methods="INVITE,BYE";mobility="mobile";class=personal',
        ),
    ],
)
def test_what_is_of_the_uri_and_what_of_the_header_stay_apart(
    size: Size, contact: str, params: str
) -> None:
    me = Registering(new_world(size))
    me.final(f"<{contact}>;expires=600{params}")
    [(uri, got)] = me.listed().items()
    assert uri == contact
    for piece in re.split(r';(?=(?:[^"]|"[^"]*")*$)', params.strip(";")):
        assert f";{piece}" in got


@pytest.mark.rfc("REG-14")
def test_without_brackets_all_parameters_are_the_headers(size: Size) -> None:
    me = Registering(new_world(size))
    me.final("sip:b@10.1.0.2:5070;unknown=1;expires=600")
    assert list(me.listed()) == ["sip:b@10.1.0.2:5070"]


@pytest.mark.rfc("REG-15")
@pytest.mark.parametrize("other", [True, False], ids=["one of two", "the only one"])
def test_an_expired_contact_is_found_no_more(size: Size, other: bool) -> None:
    world = new_world(size)
    me = Registering(world)
    lasting, brief = Peer(world, (me.host, 5070)), Peer(world, (me.host, 5080))
    contacts = [f"<{me.contact(5070)}>;expires=600"] if other else []
    me.final(*contacts, f"<{me.contact(5080)}>;expires=60")
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(57.5)
    assert len(brief.requests("MESSAGE")) == 1
    world.run(2)
    before = len(brief.arrived)
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.4)
    assert len(lasting.requests("MESSAGE")) == 2 * other
    assert len(brief.arrived) == before
    assert [s for s in caller.statuses if s > 100] == [480] * (not other)
    assert list(me.listed()) == [me.contact(5070)] * other


@pytest.mark.rfc("REG-16", "REG-17")
@pytest.mark.parametrize(("supported", "status"), [("", 420), ("gruu", 420), ("gruu, path", 200)])
def test_a_path_is_kept_for_who_understands_it(size: Size, supported: str, status: int) -> None:
    world = new_world(size)
    me = Registering(world)
    edge = Peer(world, ("203.0.113.9", 5060))
    path = ["<sip:203.0.113.9;lr>", "<sip:203.0.113.10;lr;x=1>"]
    headers = [("Path", value) for value in path]
    if supported:
        headers.append(("Supported", supported))
    response = me.final("<sip:bob@10.9.9.9>", headers=headers)
    assert response.status == status
    if status == 420:
        assert response.rows("unsupported") == ["path"]
        assert me.listed() == {}
        return
    assert response.values("path") == path
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.3)
    [message] = edge.requests()
    assert message.values("route") == path
    assert message.uri_text == "sip:bob@10.9.9.9"


@pytest.mark.rfc("REG-17")
def test_each_contact_has_the_path_it_came_by(size: Size) -> None:
    world = new_world(size)
    edge = Peer(world, ("203.0.113.9", 5060))
    direct = peer_of(world, "bob", "10.1.0.2")
    headers = [("Path", "<sip:203.0.113.9;lr>"), ("Supported", "path")]
    Registering(world, "10.1.0.3").final("<sip:bob@10.9.9.9>", headers=headers)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.3)
    assert not direct.requests("MESSAGE")[0].has("route")
    assert edge.requests("MESSAGE")[0].has("route")


@pytest.mark.rfc("REG-34")
def test_push_parameters_are_the_phones_own(size: Size) -> None:
    world = new_world(size)
    me = Registering(world)
    peer = Peer(world, (me.host, 5070))
    contact = f"{me.contact(5070)};pn-provider=acme;pn-prid=00fc13adff78512;pn-param=x"
    response = me.final(f"<{contact}>")
    assert list(listed(response)) == [contact]
    assert not response.has("feature-caps")  # no push service here (RFC 8599 §5.3)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.3)
    assert peer.requests("MESSAGE")[0].uri_text == contact
