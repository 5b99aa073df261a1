"""Subscriptions: what a phone has subscribed to reaches it, wherever it is, until it is over."""

from __future__ import annotations

import pytest

from sipcore.calls import SubscriptionTable
from sipcore.calls.limits import LAST_NEWS_S, LONGEST_SUBSCRIPTION_S
from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.transaction import ServerTransaction
from tests.sipcore.conformance.peer import Header, Peer
from tests.sipcore.simulation.phone import Outgoing, Phone, PhoneDialog
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.test_rules import suspend
from tests.sipcore.simulation.world import (
    DOMAIN,
    ONE,
    SIZES,
    Size,
    World,
    node_address,
    tls_address,
)

SEVERAL_WORKERS = Size(1, 3)
BY_SIZE = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
KINDS: dict[str, tuple[str, str, str]] = {
    # transport, scheme, how its contact goes on: none of them leads to the phone
    "UDP behind a NAT": ("UDP", "sip", "192.168.4.4:5060"),
    "UDP from another port": ("UDP", "sip", "203.0.113.9:5060"),
    "TCP": ("TCP", "sip", "203.0.113.9:40123;transport=tcp"),
    "TCP behind a NAT": ("TCP", "sip", "192.168.4.4:5060;transport=tcp"),
    "TLS": ("TLS", "sip", "192.168.4.4:5061;transport=tls"),
}
ANNA = ("203.0.113.9", 40_123)
FIRST = {
    "SUBSCRIBE": [("Event", "presence"), ("Expires", "600")],
    "REFER": [("Refer-To", "<sip:x@pstn.example>")],
}


def watcher(world: World, kind: str, name: str = "anna", before: Phone | None = None) -> Phone:
    """A registered phone that its contact does not lead to; `before`: where it was until now."""
    transport, scheme, place = KINDS[kind]
    address = ("198.51.100.7", 40_500) if before else ANNA
    phone = Phone(world, name, address, transport=transport, scheme=scheme)
    if before is not None:
        phone.register_call_id, phone._cseq = before.register_call_id, before._cseq
    phone.contact = f"{scheme}:{name}@{place}"
    request = phone.build("REGISTER", f"{scheme}:{DOMAIN}", call_id=phone.register_call_id)
    entry(phone, request, ("To", f"<sip:{name}@{DOMAIN}>"))
    return phone


def entry(phone: Phone, request: Request, *headers: Header, wait_s: float = 1.0) -> Outgoing:
    """A request to the first node, where this phone connects."""
    for name, value in headers:
        if request.has(name.lower()):
            request.set(name, value)
        else:
            request.append(name, value)
    is_stream = phone.transport != "UDP"
    outgoing = phone.start(request, tls_address(0) if is_stream else node_address(0))
    phone.world.run(wait_s)
    return outgoing


class Notifier:
    """What a phone does that is subscribed to: it answers, and tells news of its own dialogs."""

    def __init__(self, world: World, host: str, phone: Phone | None = None) -> None:
        self.world = world
        self.phone = phone or Phone(world, "bob", (host, 5060))
        self.dialogs: list[PhoneDialog] = []
        self.news_first = False
        self.news: list[Outgoing] = []
        self.extra: list[Header] = []
        self.refuses = 0
        """With this status it refuses."""
        self.phone._request = self._asked  # type: ignore[method-assign]
        if phone is None:
            self.phone.register()
            world.run(1)

    def _asked(self, tx: ServerTransaction, request: Request, now: float) -> None:
        phone = self.phone
        if request.method not in FIRST:
            Phone._request(phone, tx, request, now)
            return
        tag = request.to_tag or phone._id()
        if not request.to_tag:
            dialog = PhoneDialog(
                request.call_id,
                f"{request.first('to')};tag={tag}",
                request.first("from") or "",
                request.contacts[0].uri_text,
                list(request.record_routes),
                0,
            )
            self.dialogs.append(dialog)
        if self.refuses:
            phone.respond(tx, request, self.refuses, tag)
        elif self.news_first:
            self.tell(run=False)
            self.world.network.after(2.0, lambda _: self._accept(tx, request, tag))
        else:
            self._accept(tx, request, tag)

    def _accept(self, tx: ServerTransaction, request: Request, tag: str) -> None:
        headers = [("Record-Route", value) for value in request.record_routes]
        headers += [("Contact", f"<{self.phone.contact}>"), *self.extra]
        tx.respond(request.respond(200, to_tag=tag, headers=headers), self.world.network.now)

    def tell(
        self,
        state: str = "active",
        *headers: Header,
        event: str = "",
        method: str = "NOTIFY",
        at: int | None = None,
        run: bool = True,
    ) -> Outgoing:
        """NOTIFY in the last dialog, along its route; `at`: to this node in place of its first."""
        dialog = self.dialogs[-1]
        request = self.phone.in_dialog(dialog, method)
        request.append("Event", event or ("presence" if self.is_presence else "refer"))
        request.append("Subscription-State", state)
        for name, value in headers:
            request.set(name, value)
        to = self.phone.route_address(dialog) if at is None else node_address(at)
        outgoing = self.phone.start(request, to)
        self.news.append(outgoing)
        if run:
            self.world.run(1)
        return outgoing

    @property
    def is_presence(self) -> bool:
        return self.phone.received[-1].method == "SUBSCRIBE"


def new_world(kind: str, size: Size) -> World:
    transport = KINDS[kind][0]
    if transport == "UDP":
        return World(1, size, ["anna", "bob", "clara"])
    # A connection leads to one node.
    size = size if size is ONE else SEVERAL_WORKERS
    return World(1, size, ["anna", "bob", "clara"], tls=True, stream=transport)


def subscribed(
    world: World, anna: Phone, *headers: Header, method: str = "SUBSCRIBE", to: str = "bob"
) -> Outgoing:
    request = anna.build(method, f"{anna.scheme}:{to}@{DOMAIN}")
    outgoing = entry(anna, request, *(headers or FIRST[method]), wait_s=4.0)
    assert outgoing.status == 200, outgoing.responses
    return outgoing


def dialog_of(outgoing: Outgoing) -> PhoneDialog:
    """The subscriber's dialog, of the 2xx."""
    request, [response] = outgoing.request, outgoing.finals
    return PhoneDialog(
        request.call_id,
        request.first("from") or "",
        response.first("to") or "",
        response.contacts[0].uri_text,
        list(reversed(response.record_routes)),
        request.cseq_number,
    )


def refresh(anna: Phone, dialog: PhoneDialog, expires: int = 600, event: str = "presence") -> int:
    request = anna.in_dialog(dialog, "SUBSCRIBE")
    return entry(anna, request, ("Event", event), ("Expires", str(expires))).status


def heard(phone: Phone, method: str = "NOTIFY") -> int:
    return [r.method for r in phone.received].count(method)


def call_names(world: World, anna: Phone) -> list[Header]:
    """A call from her to Bob, and how a REFER names it."""
    request = anna.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n")
    call = entry(anna, request)
    [dialog] = call.dialogs.values()
    tag = dialog.remote_value.partition(";tag=")[2]
    value = f"{dialog.call_id};local-tag={request.from_tag};remote-tag={tag}"
    return [*FIRST["REFER"], ("Target-Dialog", value)]


def calls(world: World) -> int:
    """How many calls were recorded."""
    return len(world.records_of(Kind.CALL_BEGIN))


def tokens(routes: list[str]) -> set[str]:
    """The call tokens in these routes."""
    return {value.partition(";ct=")[2] for value in routes}


@BY_SIZE
@pytest.mark.parametrize("news_first", [False, True], ids=["after the 2xx", "before the 2xx"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_news_reach_a_subscriber_whose_contact_leads_nowhere(
    size: Size, kind: str, news_first: bool
) -> None:
    world = new_world(kind, size)
    anna, bob = watcher(world, kind), Notifier(world, "10.1.0.2")
    bob.news_first = news_first
    outgoing = subscribed(world, anna)
    bob.news_first = False
    assert heard(anna) == int(news_first)
    news = bob.tell()
    assert [each.status for each in bob.news] == [200] * len(bob.news)
    assert news.status == 200
    assert heard(anna) == int(news_first) + 1
    for each in anna.received:
        # Whichever makes the dialog at her phone, the 2xx or one of them, its route is the same.
        assert tokens(each.record_routes) == tokens(dialog_of(outgoing).routes) != {""}
    assert refresh(anna, dialog_of(outgoing)) == 200
    assert heard(bob.phone, "SUBSCRIBE") == 2
    assert refresh(anna, dialog_of(outgoing), 0) == 200
    assert bob.tell("terminated;reason=timeout").status == 200
    assert not calls(world)


@BY_SIZE
@pytest.mark.parametrize("news_first", [False, True], ids=["after the 2xx", "before the 2xx"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_what_comes_of_a_transfer_reaches_a_phone_whose_contact_leads_nowhere(
    size: Size, kind: str, news_first: bool
) -> None:
    world = new_world(kind, size)
    anna, bob = watcher(world, kind), Notifier(world, "10.1.0.2")
    bob.news_first = news_first
    subscribed(world, anna, *call_names(world, anna), method="REFER")
    assert bob.tell("active;expires=60").status == 200
    assert bob.tell("terminated;reason=noresource").status == 200
    assert heard(anna) == len(bob.news)
    assert calls(world) == 1  # the one that is transferred


@BY_SIZE
@pytest.mark.parametrize("kind", list(KINDS))
def test_each_phone_of_a_forked_subscription_tells_its_news_and_is_refreshed(
    size: Size, kind: str
) -> None:
    """One 2xx goes to the subscriber, and a NOTIFY from each of the others makes its dialog."""
    world = new_world(kind, size)
    anna = watcher(world, kind)
    desk, mobile = Notifier(world, "10.1.0.2"), Notifier(world, "10.1.0.12")
    outgoing = subscribed(world, anna)
    for bob in (desk, mobile):
        assert bob.tell().status == 200
        news = anna.received[-1]
        assert refresh(anna, dialog_of_news(outgoing, news)) == 200
    assert heard(anna) == 2
    assert heard(desk.phone, "SUBSCRIBE") == 2
    assert heard(mobile.phone, "SUBSCRIBE") == 2
    # The one goes on when the other has ended.
    assert desk.tell("terminated;reason=noresource").status == 200
    world.run(LAST_NEWS_S + 1)
    assert mobile.tell().status == 200


@BY_SIZE
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_phone_that_is_watched_is_asked_again_where_it_is(size: Size, kind: str) -> None:
    """Its contact leads nowhere, as it may be with the one who watches."""
    world = new_world(kind, size)
    bob = Notifier(world, "", watcher(world, kind, "bob"))
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    outgoing = subscribed(world, anna)
    assert refresh(anna, dialog_of(outgoing)) == 200
    assert heard(bob.phone, "SUBSCRIBE") == 2
    assert bob.tell().status == 200
    assert heard(anna) == 1


@BY_SIZE
@pytest.mark.parametrize("with_route", [True, False], ids=["by our route", "without"])
@pytest.mark.parametrize("kind", ["UDP behind a NAT", "TCP", "TLS"])
def test_news_follow_a_phone_that_comes_back_from_elsewhere(
    size: Size, kind: str, with_route: bool
) -> None:
    world = new_world(kind, size)
    anna, bob = watcher(world, kind), Notifier(world, "10.1.0.2")
    subscribed(world, anna)
    if kind != UDP:
        world.nodes[0].cut(ANNA)
    world.network.detach(ANNA)
    again = watcher(world, kind, before=anna)
    if not with_route:
        bob.dialogs[-1].routes = []
    assert bob.tell(at=0).status == 200
    assert heard(again) == 1


@BY_SIZE
@pytest.mark.parametrize("kind", list(KINDS))
def test_news_from_abroad_come_back_by_us_and_nothing_else_does(size: Size, kind: str) -> None:
    world = new_world(kind, size)
    anna, zoe = watcher(world, kind), Peer(world, ("192.0.2.80", 5060))
    entry(anna, anna.build("SUBSCRIBE", "sip:zoe@192.0.2.80"), *FIRST["SUBSCRIBE"])
    [asked] = zoe.requests("SUBSCRIBE")
    routes = [("Route", value) for value in asked.record_routes]
    ids = [
        ("To", asked.first("from") or ""),
        ("From", "<sip:zoe@zoe.example>;tag=zoe"),
        ("Call-ID", asked.call_id),
    ]
    contact = asked.contacts[0].uri_text
    for event, status in (("presence", 200), ("dialog", 481), ("talk", 481)):
        zoe.send(zoe.build("NOTIFY", contact, *routes, *ids, ("Event", event)))
        world.run(1)
        assert zoe.statuses[-1] == status
    assert heard(anna) == 1
    # Not even with the token does anything go to somewhere else.
    other = Peer(world, ("192.0.2.90", 5060))
    zoe.send(zoe.build("NOTIFY", "sip:x@192.0.2.90", *routes, *ids, ("Event", "presence")))
    world.run(1)
    assert other.requests() == []
    assert heard(anna) == 2


@pytest.mark.parametrize("size", [ONE, SEVERAL_WORKERS], ids=["one worker", "three"])
def test_news_for_a_sips_address_stay_on_tls(size: Size) -> None:
    world = World(1, size, ["anna", "bob"], tls=True)
    phones = []
    for name, host in (("anna", ANNA[0]), ("bob", "203.0.113.10")):
        phone = Phone(world, name, (host, 40_123), transport="TLS", scheme="sips")
        phone.register()
        phones.append(phone)
    world.run(1)
    anna, bob = phones
    outgoing = subscribed(world, anna)
    [asked] = bob.received
    assert [value[:6] for value in asked.record_routes] == ["<sips:"]
    dialog = PhoneDialog(
        asked.call_id,
        outgoing.finals[0].first("to") or "",
        asked.first("from") or "",
        asked.contacts[0].uri_text,
        list(asked.record_routes),
        0,
    )
    news = entry(bob, bob.in_dialog(dialog, "NOTIFY"), ("Event", "presence"))
    assert news.status == 200
    [told] = anna.received
    assert [value[:6] for value in told.record_routes] == ["<sips:"]
    assert refresh(anna, dialog_of(outgoing)) == 200


def dialog_of_news(outgoing: Outgoing, news: Request) -> PhoneDialog:
    """The subscriber's dialog, as a NOTIFY makes it."""
    return PhoneDialog(
        news.call_id,
        news.first("to") or "",
        news.first("from") or "",
        news.contacts[0].uri_text,
        list(news.record_routes),
        outgoing.request.cseq_number,
    )


# --- for how long -----------------------------------------------------------------------------------
UDP = "UDP behind a NAT"


@BY_SIZE
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_subscription_goes_on_after_every_worker_has_died(size: Size, kind: str) -> None:
    world = new_world(kind, size)
    anna, bob = watcher(world, kind), Notifier(world, "10.1.0.2")
    outgoing = subscribed(world, anna)
    for lives in range(1, 3):
        kill_all(world)
        world.run(2)
        assert bob.tell().status == 200
        assert refresh(anna, dialog_of(outgoing)) == 200
        assert heard(anna) == lives
    assert refresh(anna, dialog_of(outgoing), 0) == 200
    world.run(LAST_NEWS_S + 1)
    kill_all(world)
    world.run(2)
    assert bob.tell(at=0).status == 481
    assert sum(len(worker.subscriptions) for worker in world.workers) == 0


@BY_SIZE
def test_a_subscription_ends_when_nobody_refreshes_it(size: Size) -> None:
    world = new_world(UDP, size)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    bob.extra = [("Expires", "300")]
    outgoing = subscribed(world, anna)
    world.run(300)
    assert bob.tell(at=0).status == 200
    assert refresh(anna, dialog_of(outgoing)) == 200
    world.run(300)
    assert bob.tell(at=0).status == 200
    world.run(LAST_NEWS_S)
    assert bob.tell(at=0).status == 481
    assert refresh(anna, dialog_of(outgoing)) == 481
    for worker in world.workers:
        worker.sweep(world.network.now, world.network.at)
    assert sum(len(worker.subscriptions) for worker in world.workers) == 0


@BY_SIZE
def test_a_notify_says_for_how_long_it_goes_on(size: Size) -> None:
    world = new_world(UDP, size)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    subscribed(world, anna)
    assert bob.tell("active;expires=3600", at=0).status == 200
    world.run(3590)
    assert bob.tell("pending ; EXPIRES = 10", at=0).status == 200
    world.run(10 + LAST_NEWS_S + 1)
    assert bob.tell(at=0).status == 481


@BY_SIZE
def test_the_longest_time_is_a_day_whatever_is_granted(size: Size) -> None:
    world = new_world(UDP, size)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    bob.extra = [("Expires", "999999999")]
    subscribed(world, anna)
    world.run(LONGEST_SUBSCRIPTION_S)
    assert bob.tell("active;expires=x", at=0).status == 200
    world.run(LAST_NEWS_S)
    assert bob.tell(at=0).status == 481


@BY_SIZE
@pytest.mark.parametrize(
    ("state", "left_s"), [("terminated;reason=timeout", LAST_NEWS_S), ("Terminated", LAST_NEWS_S)]
)
def test_after_the_last_news_nothing_passes(size: Size, state: str, left_s: float) -> None:
    world = new_world(UDP, size)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    subscribed(world, anna)
    assert bob.tell(state, at=0).status == 200
    assert bob.tell(state, at=0).status == 200  # again, with another CSeq
    world.run(left_s)
    assert bob.tell("active;expires=600", at=0).status == 481


def test_what_passes_another_node_prolongs_it_at_the_first() -> None:
    world = new_world(UDP, Size(2, 3))
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    subscribed(world, anna)
    assert bob.tell("active;expires=3600", at=1).status == 200
    world.run(3590)
    assert bob.tell(at=0).status == 200
    assert heard(anna) == 2


@BY_SIZE
def test_a_refused_subscription_is_none(size: Size) -> None:
    world = new_world(UDP, size)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    bob.refuses = 489
    request = anna.build("SUBSCRIBE", f"sip:bob@{DOMAIN}")
    assert entry(anna, request, *FIRST["SUBSCRIBE"]).status == 489
    assert sum(len(worker.subscriptions) for worker in world.workers) == 0
    assert bob.tell(at=0).status == 481


# --- what does not pass -----------------------------------------------------------------------------
INSIDE: list[tuple[str, list[Header], int]] = [
    ("NOTIFY", [("Event", "dialog")], 481),
    ("NOTIFY", [("Event", "check-sync")], 481),
    ("NOTIFY", [("From", f"<sip:clara@{DOMAIN}>;tag=x")], 403),
    ("NOTIFY", [("To", f"<sip:anna@{DOMAIN}>;tag=other")], 481),
    ("NOTIFY", [("Call-ID", "other")], 481),
    ("SUBSCRIBE", [], 481),  # it is the other side's
    ("INVITE", [], 405),
    ("BYE", [], 405),
    ("REFER", [("Refer-To", "<sip:x@pstn.example>")], 405),
    ("INFO", [], 405),
    ("MESSAGE", [], 405),
]


@BY_SIZE
@pytest.mark.parametrize(("method", "headers", "status"), INSIDE)
def test_nothing_but_the_news_of_its_package_reaches_a_subscriber(
    size: Size, method: str, headers: list[Header], status: int
) -> None:
    world = new_world(UDP, size)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    subscribed(world, anna)
    assert bob.tell("active", *headers, method=method, at=0).status == status
    assert heard(anna, method) == 0
    assert bob.tell(at=0).status == 200
    assert not calls(world)


def test_nobody_commands_the_other_phone_with_a_token_that_another_node_knows() -> None:
    world = new_world(UDP, Size(2, 3))
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    outgoing = subscribed(world, anna)
    assert bob.tell(event="check-sync", at=1).status == 403
    assert bob.tell("active", ("To", f"<sip:anna@{DOMAIN}>;tag=x"), at=1).status == 481
    assert heard(anna) == 0
    # Nor does a lamp for presence become one for calls.
    for at, status in ((0, 481), (1, 403)):
        request = anna.in_dialog(dialog_of(outgoing), "SUBSCRIBE")
        request.append("Event", "dialog")
        asked = anna.start(request, node_address(at))
        world.run(1)
        assert asked.status == status
    assert heard(bob.phone, "SUBSCRIBE") == 1


def test_nobody_abroad_is_one_of_us_with_a_token_that_another_node_knows() -> None:
    world = new_world(UDP, Size(2, 3))
    anna, zoe = watcher(world, UDP), Peer(world, ("192.0.2.80", 5060))
    entry(anna, anna.build("SUBSCRIBE", "sip:zoe@192.0.2.80"), *FIRST["SUBSCRIBE"])
    [asked] = zoe.requests("SUBSCRIBE")
    for sender, status in ((f"sip:bob@{DOMAIN}", 403), ("sip:zoe@zoe.example", 200)):
        news = zoe.build(
            "NOTIFY",
            asked.contacts[0].uri_text,
            *[("Route", value) for value in asked.record_routes],
            ("To", asked.first("from") or ""),
            ("From", f"<{sender}>;tag=zoe"),
            ("Call-ID", asked.call_id),
            ("Event", "presence"),
        )
        zoe.send(news, node_address(1))
        world.run(1)
        assert zoe.statuses[-1] == status
    assert heard(anna) == 1


@BY_SIZE
def test_a_suspended_line_tells_no_news(size: Size) -> None:
    world = new_world(UDP, size)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    subscribed(world, anna)
    suspend(world, 2)
    world.run(1)
    assert bob.tell(at=0).status == 481
    assert heard(anna) == 0


@BY_SIZE
def test_of_one_line_the_newest_subscriptions_go_on(size: Size) -> None:
    world = new_world(UDP, size)
    for worker in world.workers:
        worker.subscriptions = SubscriptionTable(lambda row: None, 100, 2)
    anna, bob = watcher(world, UDP), Notifier(world, "10.1.0.2")
    first = subscribed(world, anna)
    for _ in range(12):
        subscribed(world, anna)
    assert bob.tell(at=0).status == 200
    assert refresh(anna, dialog_of(first)) == 481
    assert max(len(worker.subscriptions) for worker in world.workers) == 2
