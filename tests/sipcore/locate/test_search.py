"""From a URI and scripted answers to an ordered list of servers, without I/O."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from sipcore.locate import Answer, Candidate, Naptr, Question, Search, Srv, destination
from sipcore.locate.limits import MAX_HOSTS, MAX_SERVERS, MAX_SERVICES
from sipcore.locate.ordering import in_order
from sipcore.locate.search import Speaks
from sipcore.message import parse_uri

IPV4: Speaks = frozenset({("UDP", False), ("TCP", False)})
DUAL = IPV4 | {("UDP", True), ("TCP", True)}
TLS = DUAL | {("TLS", False), ("TLS", True)}
WS = TLS | {("WS", False), ("WSS", False)}
NOTHING = Answer(60.0)
NOBODY = Answer(5.0, failed=True)

Zone = dict[Question, Answer]


class Asker:
    """Runs a search over a zone and keeps what it asked, in rounds."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.rounds: list[list[Question]] = []
        self.known: Zone = {}

    def next(self, search: Search) -> tuple[str, str, int] | None:
        while missing := search.advance(self.known.get):
            self.rounds.append(missing)
            self.known |= {question: self.zone.get(question, NOTHING) for question in missing}
        server = search.take()
        return None if server is None else server[:3]


def search(uri: str, speaks: Speaks = IPV4, seed: int | None = 1) -> Search:
    return Search(destination(parse_uri(uri)), speaks, None if seed is None else Random(seed))


def located(
    uri: str, zone: Zone | None = None, speaks: Speaks = IPV4, seed: int | None = 1
) -> tuple[list[tuple[str, str, int]], list[Question]]:
    """All servers in order, and all questions."""
    asker, found = Asker(zone or {}), []
    run = search(uri, speaks, seed)
    while (server := asker.next(run)) is not None:
        found.append(server)
    return found, [question for each in asker.rounds for question in each]


def a(*addresses: str) -> Answer:
    return Answer(60.0, addresses=addresses)


def srv(*records: tuple[int, int, int, str]) -> Answer:
    return Answer(60.0, srv=[Srv(*record) for record in records])


def naptr(*records: tuple[int, int, str, str]) -> Answer:
    return Answer(60.0, naptr=[Naptr(o, p, "s", s, "", r) for o, p, s, r in records])


# --- no question at all ------------------------------------------------------------------------------
@pytest.mark.rfc("LOC-01", "LOC-04")
@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("sip:a@192.0.2.1", ("UDP", "192.0.2.1", 5060)),
        ("sip:a@192.0.2.1:5070", ("UDP", "192.0.2.1", 5070)),
        ("sip:a@192.0.2.1;transport=tcp", ("TCP", "192.0.2.1", 5060)),
        ("sip:a@192.0.2.1;transport=TLS", ("TLS", "192.0.2.1", 5061)),
        ("sips:a@192.0.2.1", ("TLS", "192.0.2.1", 5061)),
        ("sips:a@192.0.2.1;transport=tcp", ("TLS", "192.0.2.1", 5061)),
        ("sips:a@192.0.2.1:5071;transport=ws", ("WSS", "192.0.2.1", 5071)),
        ("sip:a@[2001:db8::1]", ("UDP", "2001:db8::1", 5060)),
        ("sip:a@far.example;maddr=192.0.2.9", ("UDP", "192.0.2.9", 5060)),
        ("sip:a@far.example:5070;maddr=192.0.2.9", ("UDP", "192.0.2.9", 5070)),
    ],
)
def test_an_address_is_used_as_it_is(uri: str, server: tuple[str, str, int]) -> None:
    assert located(uri, speaks=WS) == ([server], [])


@pytest.mark.parametrize(
    ("uri", "speaks"),
    [
        ("sip:a@x.invalid", WS),
        ("sip:a@INVALID", WS),
        ("sip:a@127.1", WS),
        ("sip:a@1.2.3.4.5", WS),
        ("sips:a@192.0.2.1;transport=udp", WS),
        ("sips:a@192.0.2.1", DUAL),
        ("sip:a@192.0.2.1;transport=sctp", WS),
        ("sip:a@[2001:db8::1]", IPV4),
        ("sips:far.example", DUAL),
        ("tel:+4681234", WS),
    ],
)
def test_what_leads_nowhere_asks_nobody(uri: str, speaks: Speaks) -> None:
    found, asked = located(uri, speaks=speaks)
    assert found == []
    assert asked in ([], [("far.example", "NAPTR")])


# --- names --------------------------------------------------------------------------------------------
@pytest.mark.rfc("LOC-01", "LOC-04")
@pytest.mark.parametrize(
    ("uri", "transport", "port"),
    [
        ("sip:a@far.example:5060", "UDP", 5060),
        ("sip:a@far.example:5070;transport=tcp", "TCP", 5070),
        ("sips:a@far.example:5070", "TLS", 5070),
    ],
)
def test_a_name_with_a_port_is_a_host(uri: str, transport: str, port: int) -> None:
    zone = {
        ("far.example", "A"): a("192.0.2.1", "192.0.2.2"),
        ("_sip._udp.far.example", "SRV"): srv((1, 0, 5062, "wrong.example")),
    }
    found, asked = located(
        uri, zone, TLS - DUAL | {("UDP", False), ("TCP", False)} - {("TLS", True)}
    )
    assert [each for each in found if each[0] == transport] == found
    assert found == [(transport, "192.0.2.1", port), (transport, "192.0.2.2", port)]
    assert {kind for _, kind in asked} <= {"A", "AAAA"}


@pytest.mark.rfc("LOC-05")
@pytest.mark.parametrize(
    ("uri", "name", "transport"),
    [
        ("sip:a@far.example;transport=udp", "_sip._udp.far.example", "UDP"),
        ("sip:a@far.example;transport=tcp", "_sip._tcp.far.example", "TCP"),
        ("sips:a@far.example;transport=tcp", "_sips._tcp.far.example", "TLS"),
        ("sip:a@far.example;transport=tls", "_sips._tcp.far.example", "TLS"),
    ],
)
def test_a_transport_that_is_asked_for_has_its_own_srv_records(
    uri: str, name: str, transport: str
) -> None:
    zone = {(name, "SRV"): srv((1, 0, 5062, "one.example")), ("one.example", "A"): a("192.0.2.1")}
    found, asked = located(uri, zone, TLS)
    assert found == [(transport, "192.0.2.1", 5062)]
    assert asked[0] == (name, "SRV")
    usual = 5061 if transport == "TLS" else 5060
    found, asked = located(uri, {("far.example", "A"): a("192.0.2.7")}, TLS)
    assert found == [(transport, "192.0.2.7", usual)]


@pytest.mark.rfc("LOC-02")
def test_naptr_records_lead_to_srv_records() -> None:
    zone = {
        ("far.example", "NAPTR"): naptr(
            (20, 10, "SIP+D2U", "udp.far.example"),
            (10, 60, "SIP+D2T", "tcp.far.example"),
            (10, 50, "SIPS+D2T", "tls.far.example"),
            (5, 1, "SIP+D2S", "sctp.far.example"),
            (5, 1, "E2U+sip", "enum.far.example"),
        ),
        ("tls.far.example", "SRV"): srv((1, 0, 5061, "one.example")),
        ("tcp.far.example", "SRV"): srv((1, 0, 5060, "one.example")),
        ("udp.far.example", "SRV"): srv((1, 0, 5060, "one.example")),
        ("one.example", "A"): a("192.0.2.1"),
    }
    first = {
        kind: located(f"{kind}:a@far.example", zone, speaks)[0]
        for kind, speaks in (("sip", TLS), ("sips", TLS))
    }
    assert first["sip"] == [("TLS", "192.0.2.1", 5061)]  # of a sip URI too, where we have TLS
    assert first["sips"] == [("TLS", "192.0.2.1", 5061)]
    assert located("sip:a@far.example", zone, DUAL)[0] == [("TCP", "192.0.2.1", 5060)]
    assert located("sip:a@far.example", zone, frozenset({("UDP", False)}))[0] == [
        ("UDP", "192.0.2.1", 5060)
    ]


@pytest.mark.rfc("LOC-02")
def test_a_sips_uri_takes_no_naptr_record_without_tls() -> None:
    zone = {
        ("far.example", "NAPTR"): naptr((10, 10, "SIP+D2U", "udp.far.example")),
        ("udp.far.example", "SRV"): srv((1, 0, 5060, "one.example")),
        ("_sips._tcp.far.example", "SRV"): srv((1, 0, 5061, "one.example")),
        ("one.example", "A"): a("192.0.2.1"),
    }
    found, asked = located("sips:a@far.example", zone, TLS)
    assert found == [("TLS", "192.0.2.1", 5061)]
    assert ("udp.far.example", "SRV") not in asked
    assert ("_sip._udp.far.example", "SRV") not in asked


@pytest.mark.rfc("LOC-02")
def test_websockets_are_found_by_naptr_where_we_speak_them() -> None:
    zone = {
        ("far.example", "NAPTR"): naptr(
            (10, 10, "SIPS+D2W", "wss.far.example"), (20, 10, "SIP+D2U", "udp.far.example")
        ),
        ("wss.far.example", "SRV"): srv((1, 0, 443, "one.example")),
        ("udp.far.example", "SRV"): srv((1, 0, 5060, "one.example")),
        ("one.example", "A"): a("192.0.2.1"),
    }
    assert located("sip:a@far.example", zone, WS)[0] == [("WSS", "192.0.2.1", 443)]
    assert located("sip:a@far.example", zone, TLS)[0] == [("UDP", "192.0.2.1", 5060)]


@pytest.mark.rfc("LOC-02")
@pytest.mark.parametrize(
    ("service", "transport", "port"),
    [
        ("SIP+D2U", "UDP", 5060),
        ("SIP+D2T", "TCP", 5060),
        ("SIPS+D2T", "TLS", 5061),
        ("SIP+D2W", "WS", 80),
        ("SIPS+D2W", "WSS", 443),
        ("sip+d2w", "WS", 80),
    ],
)
def test_each_naptr_service_means_its_transport(service: str, transport: str, port: int) -> None:
    zone = {
        ("far.example", "NAPTR"): naptr((10, 10, service, "_x.far.example")),
        ("_x.far.example", "SRV"): srv((1, 0, port, "one.example")),
        ("one.example", "A"): a("192.0.2.1"),
    }
    assert located("sip:a@far.example", zone, WS)[0] == [(transport, "192.0.2.1", port)]
    if transport in ("TLS", "WSS"):
        assert located("sips:a@far.example", zone, WS)[0] == [(transport, "192.0.2.1", port)]


@pytest.mark.rfc("LOC-13")
def test_naptr_order_comes_before_preference() -> None:
    zone = {
        ("far.example", "NAPTR"): naptr(
            (20, 1, "SIP+D2T", "tcp.far.example"), (10, 99, "SIP+D2U", "udp.far.example")
        ),
        ("tcp.far.example", "SRV"): srv((1, 0, 5060, "one.example")),
        ("udp.far.example", "SRV"): srv((1, 0, 5060, "one.example")),
        ("one.example", "A"): a("192.0.2.1"),
    }
    found, asked = located("sip:a@far.example", zone)
    assert found == [("UDP", "192.0.2.1", 5060)]
    assert ("tcp.far.example", "SRV") not in asked  # behind a match nothing is looked at


@pytest.mark.parametrize(
    "record",
    [
        Naptr(1, 1, "u", "SIP+D2U", "", "udp.far.example"),
        Naptr(1, 1, "s", "SIP+D2U", "!.*!x!", ""),
        Naptr(1, 1, "s", "SIP+D2U", "", ""),
    ],
)
def test_naptr_records_of_another_kind_are_none(record: Naptr) -> None:
    zone = {
        ("far.example", "NAPTR"): Answer(60.0, naptr=[record]),
        ("far.example", "A"): a("192.0.2.1"),
    }
    found, asked = located("sip:a@far.example", zone)
    assert found == [("UDP", "192.0.2.1", 5060)]
    assert ("_sip._udp.far.example", "SRV") in asked


@pytest.mark.rfc("LOC-03")
@pytest.mark.parametrize("answer", [NOTHING, NOBODY])
def test_without_naptr_records_srv_records_are_asked_for_each_transport(answer: Answer) -> None:
    zone = {
        ("far.example", "NAPTR"): answer,
        ("_sip._tcp.far.example", "SRV"): srv((1, 0, 5062, "one.example")),
        ("one.example", "A"): a("192.0.2.1"),
    }
    asker = Asker(zone)
    assert asker.next(
        search("sip:a@far.example", TLS - {("TLS", True), ("UDP", True), ("TCP", True)})
    ) == ("TCP", "192.0.2.1", 5062)
    assert asker.rounds == [
        [("far.example", "NAPTR")],
        [(f"{s}.far.example", "SRV") for s in ("_sip._udp", "_sip._tcp", "_sips._tcp")],
        [("one.example", "A")],
    ]


@pytest.mark.rfc("LOC-03")
@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("sip:far.example", ("UDP", "192.0.2.1", 5060)),
        ("sips:far.example", ("TLS", "192.0.2.1", 5061)),
    ],
)
def test_without_srv_records_the_name_is_a_host(uri: str, server: tuple[str, str, int]) -> None:
    found, asked = located(uri, {("far.example", "A"): a("192.0.2.1")}, TLS)
    assert found == [server]
    if uri.startswith("sips"):
        assert [name for name, kind in asked if kind == "SRV"] == ["_sips._tcp.far.example"]


def test_that_nobody_knows_srv_records_is_not_that_there_are_none() -> None:
    zone = {("_sip._udp.far.example", "SRV"): NOBODY, ("far.example", "A"): a("192.0.2.1")}
    assert located("sip:a@far.example", zone)[0] == []
    zone["_sip._tcp.far.example", "SRV"] = srv((1, 0, 5060, "one.example"))
    zone["one.example", "A"] = a("192.0.2.1")
    assert located("sip:a@far.example", zone)[0] == [("TCP", "192.0.2.1", 5060)]


# --- SRV records ----------------------------------------------------------------------------------------
@pytest.mark.rfc("LOC-06")
def test_a_target_of_a_dot_says_that_the_service_is_not_there() -> None:
    zone = {
        ("_sip._udp.far.example", "SRV"): srv((0, 0, 0, "")),
        ("far.example", "A"): a("192.0.2.1"),
    }
    assert located("sip:a@far.example;transport=udp", zone)[0] == []
    assert located("sip:a@far.example", zone)[0] == []
    zone["_sip._tcp.far.example", "SRV"] = srv((1, 0, 5060, "far.example"))
    assert located("sip:a@far.example", zone)[0] == [("TCP", "192.0.2.1", 5060)]


def spread(records: list[tuple[int, int, int, str]], tries: int = 4000) -> Counter[tuple[str, ...]]:
    zone: Zone = {("_sip._udp.far.example", "SRV"): srv(*records)}
    zone |= {(name, "A"): a(f"192.0.2.{port}") for _, _, port, name in records}
    random, orders = Random(5), Counter[tuple[str, ...]]()
    for _ in range(tries):
        asker, found = Asker(zone), []
        run = Search(destination(parse_uri("sip:far.example;transport=udp")), IPV4, random)
        while (server := asker.next(run)) is not None:
            found.append(server[1].rpartition(".")[2])
        orders[tuple(found)] += 1
    return orders


@pytest.mark.rfc("LOC-06")
def test_servers_are_drawn_by_weight_within_a_priority() -> None:
    orders = spread(
        [
            (10, 60, 1, "a.example"),
            (10, 20, 2, "b.example"),
            (10, 20, 3, "c.example"),
            (20, 99, 4, "d.example"),
            (5, 0, 5, "e.example"),
        ]
    )
    assert {order[0] for order in orders} == {"5"}
    assert {order[-1] for order in orders} == {"4"}
    assert all(len(order) == 5 for order in orders)
    first = Counter[str]()
    for order, count in orders.items():
        first[order[1]] += count
    assert first["1"] / 4000 == pytest.approx(0.6, abs=0.04)
    assert first["2"] / 4000 == pytest.approx(0.2, abs=0.04)
    assert first["3"] / 4000 == pytest.approx(0.2, abs=0.04)


@pytest.mark.rfc("LOC-06")
def test_weight_zero_has_a_small_chance() -> None:
    orders = spread([(1, 0, 1, "a.example"), (1, 30, 2, "b.example")])
    assert 0 < orders["1", "2"] < 4000 * 0.1
    orders = spread([(1, 0, 1, "a.example"), (1, 0, 2, "b.example")], 50)
    assert sum(orders.values()) == 50


@pytest.mark.rfc("LOC-09")
def test_without_a_random_source_the_order_is_always_the_same() -> None:
    records = [(1, 10, 5060 + i, f"s{i}.example") for i in range(8)]
    zone: Zone = {(f"s{i}.example", "A"): a(f"192.0.2.{i}") for i in range(8)}
    orders = set()
    for seed in range(8):
        shuffled = Random(seed).sample(records, 8)  # the DNS may turn them around
        zone["_sip._udp.far.example", "SRV"] = srv(*shuffled)
        orders.add(tuple(located("sip:far.example;transport=udp", zone, seed=None)[0]))
    assert len(orders) == 1


def test_sixty_four_records_are_asked_for_one_by_one() -> None:
    records = [(i, 0, 5060, f"s{i}.example") for i in range(64)]
    zone: Zone = {("_sip._udp.far.example", "SRV"): srv(*records)}
    zone |= {(f"s{i}.example", "A"): a(f"192.0.2.{i + 1}") for i in range(64)}
    asker = Asker(zone)
    run = search("sip:far.example;transport=udp")
    assert asker.next(run) == ("UDP", "192.0.2.1", 5060)
    assert asker.rounds == [[("_sip._udp.far.example", "SRV")], [("s0.example", "A")]]
    assert len(located("sip:far.example;transport=udp", zone)[0]) == MAX_SERVERS


def test_the_number_of_hosts_is_bounded() -> None:
    records = [(i, 0, 5060, f"s{i}.example") for i in range(MAX_HOSTS * 3)]
    zone: Zone = {("_sip._udp.far.example", "SRV"): srv(*records)}
    _, asked = located("sip:far.example;transport=udp", zone)
    assert len(asked) == MAX_HOSTS + 1


@pytest.mark.parametrize("target", ["sip:far.example:5060", "sip:far.example;transport=udp"])
def test_whatever_a_zone_says_one_request_tries_so_many_servers(target: str) -> None:
    many = [f"192.0.{i // 250}.{i % 250 + 1}" for i in range(4000)]
    zone: Zone = {("far.example", "A"): a(*many)}
    if "transport" in target:
        zone["_sip._udp.far.example", "SRV"] = srv(*[(1, 0, 5060, f"s{i}.example") for i in range(9)])
        zone |= {(f"s{i}.example", "A"): a(*many[i * 10 :]) for i in range(9)}
    assert len(located(target, zone)[0]) == MAX_SERVERS


class CountingRandom(Random):
    """Says how often it was drawn from."""

    draws = 0

    def randint(self, low: int, high: int) -> int:
        self.draws += 1
        return super().randint(low, high)


def test_drawing_among_thousands_of_records_takes_no_longer_than_among_a_hundred() -> None:
    random = CountingRandom(1)
    records = [Srv(1, i % 7, 5060, f"s{i}.example") for i in range(3000)]
    assert len(in_order(records, random)) == MAX_HOSTS
    assert random.draws == MAX_HOSTS


def test_the_same_server_is_tried_once() -> None:
    zone = {
        ("_sip._udp.far.example", "SRV"): srv((1, 0, 5060, "a.example"), (2, 0, 5060, "b.example")),
        ("a.example", "A"): a("192.0.2.1"),
        ("b.example", "A"): a("192.0.2.1", "192.0.2.2"),
    }
    found = located("sip:far.example;transport=udp", zone)[0]
    assert found == [("UDP", "192.0.2.1", 5060), ("UDP", "192.0.2.2", 5060)]


# --- addresses --------------------------------------------------------------------------------------------
@pytest.mark.rfc("LOC-11")
def test_both_families_are_looked_up_and_those_of_one_host_stay_together() -> None:
    """The example of RFC 7984 §4."""
    zone = {
        ("_sip._tcp.example.com", "SRV"): srv((10, 1, 5060, "sip-1"), (20, 1, 5060, "sip-2")),
        ("sip-1", "AAAA"): a("2001:db8:58:c02::face", "2001:db8:c:a06::2:cafe"),
        ("sip-1", "A"): a("192.0.2.45", "203.0.113.109"),
        ("sip-2", "AAAA"): a("2001:db8:58:c02::dead"),
        ("sip-2", "A"): a("192.0.2.75"),
    }
    found, asked = located("sip:example.com;transport=tcp", zone, DUAL)
    assert [address for _, address, _ in found] == [
        "2001:db8:58:c02::face",
        "2001:db8:c:a06::2:cafe",
        "192.0.2.45",
        "203.0.113.109",
        "2001:db8:58:c02::dead",
        "192.0.2.75",
    ]
    assert asked.count(("sip-1", "AAAA")) == asked.count(("sip-1", "A")) == 1


@pytest.mark.rfc("LOC-11")
def test_a_family_we_do_not_speak_is_ignored() -> None:
    zone = {
        ("far.example", "A"): a("2001:db8::1", "192.0.2.1"),  # a server that says odd things
        ("far.example", "AAAA"): a("2001:db8::2"),
    }
    found, asked = located("sip:far.example:5060", zone, IPV4)
    assert found == [("UDP", "192.0.2.1", 5060)]
    assert asked == [("far.example", "A")]
    only6 = frozenset({("UDP", True)})
    assert located("sip:far.example:5060", zone, only6)[0] == [("UDP", "2001:db8::2", 5060)]


@pytest.mark.rfc("LOC-11")
def test_one_family_is_enough_where_nobody_knows_the_other() -> None:
    zone = {("far.example", "A"): a("192.0.2.1"), ("far.example", "AAAA"): NOBODY}
    assert located("sip:far.example:5060", zone, DUAL)[0] == [("UDP", "192.0.2.1", 5060)]


@pytest.mark.rfc("LOC-11")
def test_addresses_come_in_the_order_of_rfc_6724() -> None:
    zone = {
        ("far.example", "AAAA"): a("fd00::1", "2001::5", "2002::7", "2001:db8::1"),
        ("far.example", "A"): a("192.0.2.1"),
    }
    assert [address for _, address, _ in located("sip:far.example:5060", zone, DUAL)[0]] == [
        "2001:db8::1",
        "192.0.2.1",
        "2002::7",
        "2001::5",
        "fd00::1",
    ]


def test_addresses_that_no_server_has_are_left_out() -> None:
    odd = ("0.0.0.0", "224.0.0.1", "255.255.255.255", "999.1.1.1", "192.0.2.1")  # noqa: S104
    odd6 = ("::", "ff02::1", "fe80::1", "x")
    zone = {("far.example", "A"): a(*odd), ("far.example", "AAAA"): a(*odd6)}
    assert located("sip:far.example:5060", zone, DUAL)[0] == [("UDP", "192.0.2.1", 5060)]


def test_a_server_carries_the_name_that_was_looked_for() -> None:
    zone = {
        ("_sips._tcp.far.example", "SRV"): srv((1, 0, 5061, "host.provider.example")),
        ("host.provider.example", "A"): a("192.0.2.1"),
    }
    asker, run = Asker(zone), search("sips:a@Far.Example", TLS)
    while missing := run.advance(asker.known.get):
        asker.known |= {question: zone.get(question, NOTHING) for question in missing}
    assert run.take() == Candidate("TLS", "192.0.2.1", 5061, "far.example")


@pytest.mark.rfc("LOC-12")
@pytest.mark.parametrize(
    ("uri", "host", "domain"),
    [
        ("sips:Far.Example.", "far.example", "far.example"),
        ("sips:far.example;maddr=sip.near.example", "sip.near.example", "far.example"),
        ("sips:far.example;maddr=192.0.2.1", "192.0.2.1", "far.example"),
        ("sips:[2001:db8::1]", "2001:db8::1", "[2001:db8::1]"),
    ],
)
def test_a_certificate_must_be_for_the_host_of_the_uri(uri: str, host: str, domain: str) -> None:
    wanted = destination(parse_uri(uri))
    assert wanted is not None
    assert (wanted.host, wanted.domain) == (host, domain)


def test_a_zone_cannot_have_us_ask_for_any_number_of_names() -> None:
    records = [(1, i, "SIP+D2U", f"_sip._udp.n{i}.example") for i in range(200)]
    _, questions = located("sip:x@far.example", {("far.example", "NAPTR"): naptr(*records)})
    asked = [name for name, kind in questions if kind == "SRV"]
    assert asked == [record[3] for record in records[:MAX_SERVICES]]
