"""The decision as a table: who asks for what, and the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from sipcore.bindings import Binding
from sipcore.directory import Account, AccountState, Directory, Domain, DomainAddress
from sipcore.message import parse_uri
from sipcore.routing import (
    Ask,
    Fork,
    Plan,
    Query,
    Refuse,
    Relay,
    Service,
    Target,
    account_named,
    decide,
    dialled_number,
    is_emergency,
)
from sipcore.transport.flow import Flow
from tests.sipcore.bindings.examples import AT, a_binding

CAMPUS, LABS = "campus.example", "labs.example"
NO_EMERGENCIES: Final = "404 No Emergency Calls Here"
NO_SIPS: Final = '480, 380 proxy "SIPS Not Allowed"'

DIRECTORY: Final = Directory(
    domains=[Domain(CAMPUS), Domain(LABS)],
    accounts=[
        Account(1, "anna", CAMPUS),
        Account(2, "bob", CAMPUS),
        Account(3, "carl", CAMPUS, AccountState.SUSPENDED),
        Account(4, "dora", CAMPUS, AccountState.CLOSING),
        Account(5, "emil", LABS),
        Account(6, "fred", CAMPUS),
        Account(7, "gina", CAMPUS),
    ],
    addresses=[
        *(
            DomainAddress(CAMPUS, name, i)
            for i, name in enumerate(("anna", "bob", "carl", "dora"), 1)
        ),
        DomainAddress(LABS, "emil", 5),
        DomainAddress(CAMPUS, "fred", 6),
        DomainAddress(CAMPUS, "gina", 7),
        DomainAddress(CAMPUS, "1001", 2),
        DomainAddress(LABS, "1001", 5),
        DomainAddress(CAMPUS, "+49301001", 2),
        DomainAddress(CAMPUS, "1003", 3),
        DomainAddress(CAMPUS, "x-ray", 2),  # a name with what only helps the eye in a number
        DomainAddress(CAMPUS, "echo", 2),  # the service of that name comes first
        DomainAddress(CAMPUS, "ghost", 99),  # of an account that is gone
    ],
)


def phone(name: str, scheme: str = "sip") -> Binding:
    return a_binding(name, contact=f"{scheme}:{name}@192.0.2.1")


BINDINGS: Final = {
    1: [phone("a")],
    2: [phone("b")],
    3: [phone("c")],
    4: [phone("d")],
    5: [phone("e")],
    6: [],
    7: [phone("g1"), phone("g2", "sips")],
}


def question(uri_text: str, who: str, method: str = "INVITE") -> Query:
    """What this party asks; `who`: a name of ours, "stranger" or "peer" (a trusted one)."""
    uri = parse_uri(uri_text)
    return Query(
        method,
        uri,
        uri_text,
        uri.host if uri.host in DIRECTORY.domains else None,
        DIRECTORY.account_by_name(who),
        frozenset({"echo"}),
        is_trusted=who == "peer",
    )


def plan_for(
    query: Query,
    bindings: Mapping[int, Sequence[Binding]] = BINDINGS,
    directory: Directory = DIRECTORY,
) -> Plan:
    plan = decide(directory, lambda line_id: bindings[line_id], query)
    assert not isinstance(plan, Ask)
    return plan


def in_short(plan: Plan) -> str:
    """A plan in one line: groups are parted by |, the other flows of a phone follow it after >."""
    if isinstance(plan, Fork):
        groups = [" ".join(map(ways, group.targets)) for group in plan.groups]
        return f"{plan.callee.username}: {' | '.join(groups)}"
    if isinstance(plan, Relay):
        return f"relay to {plan.target.uri_text}"
    if isinstance(plan, Service):
        return f"service {plan.name}"
    text = f"{plan.status} {plan.phrase}".strip()
    if plan.callee is not None:
        text += f" for {plan.callee.username}"
    return f"{text}, {plan.warning}" if plan.warning else text


def ways(target: Target) -> str:
    names = [parse_uri(t.uri_text).user for t in (target, *target.other_flows)]
    return ">".join(names)


@pytest.mark.parametrize(
    ("uri", "who", "plan"),
    [
        # Emergency numbers, whoever asks and wherever it leads.
        ("sip:112@campus.example", "anna", NO_EMERGENCIES),
        ("sip:112@campus.example", "stranger", NO_EMERGENCIES),
        ("sip:911@campus.example", "anna", NO_EMERGENCIES),
        ("sip:999@campus.example", "anna", NO_EMERGENCIES),
        ("sip:sos@campus.example", "anna", NO_EMERGENCIES),
        ("sip:112@elsewhere.example", "anna", "relay to sip:112@elsewhere.example"),
        ("sip:112@elsewhere.example", "stranger", "403 Relaying Denied"),
        ("tel:112", "anna", NO_EMERGENCIES),
        ("tel:1-1.2", "anna", NO_EMERGENCIES),
        ("tel:112;phone-context=+49", "anna", NO_EMERGENCIES),
        ("sip:112;phone-context=+49@campus.example;user=phone", "anna", NO_EMERGENCIES),
        ("sip:1-1-2@campus.example;user=phone", "anna", NO_EMERGENCIES),
        ("urn:service:sos", "anna", NO_EMERGENCIES),
        ("URN:service:SOS.fire", "stranger", NO_EMERGENCIES),
        ("sip:1-1-2@campus.example", "anna", "404"),  # a name
        ("sip:1121@campus.example", "anna", "404"),
        ("urn:service:counseling", "anna", "416"),
        # Foreign domains: for those we know.
        ("sip:x@elsewhere.example", "anna", "relay to sip:x@elsewhere.example"),
        ("sips:x@elsewhere.example", "anna", "relay to sips:x@elsewhere.example"),
        ("sip:x@elsewhere.example;p=1", "peer", "relay to sip:x@elsewhere.example;p=1"),
        ("sip:x@elsewhere.example", "stranger", "403 Relaying Denied"),
        ("urn:service:counseling", "stranger", "403 Relaying Denied"),
        ("urn:service:counseling", "peer", "416"),
        ("sip:elsewhere.example", "anna", "relay to sip:elsewhere.example"),
        ("sip:echo@elsewhere.example", "anna", "relay to sip:echo@elsewhere.example"),
        ("sip:bob@elsewhere.example", "anna", "relay to sip:bob@elsewhere.example"),
        # The domain itself is nobody.
        ("sip:campus.example", "anna", "404"),
        ("sip:campus.example", "stranger", "404"),
        # Our own services, in every domain of ours, before accounts of that name.
        ("sip:echo@campus.example", "anna", "service echo"),
        ("sip:echo@labs.example", "anna", "service echo"),
        ("sip:%65cho@campus.example", "anna", "service echo"),
        ("sip:echo@campus.example", "stranger", "service echo"),
        ("sip:echo@campus.example", "peer", "service echo"),
        # Names and numbers of ours.
        ("sip:bob@campus.example", "anna", "bob: b"),
        ("sip:bob@campus.example", "stranger", "bob: b"),
        ("sip:bob@campus.example", "peer", "bob: b"),
        ("sip:BOB@campus.example", "anna", "bob: b"),
        ("sip:b%6Fb@campus.example", "anna", "bob: b"),
        ("sip:1001@campus.example", "anna", "bob: b"),
        ("sip:1001@labs.example", "anna", "emil: e"),
        ("sip:anna@campus.example", "anna", "anna: a"),  # herself
        # Telephone numbers: without what only helps the eye.
        ("tel:1001", "anna", "bob: b"),
        ("tel:1001", "emil", "emil: e"),  # the caller's own domain (RFC 3966 §5.1.5)
        ("tel:1001", "stranger", "bob: b"),  # the default domain
        ("tel:1001", "peer", "bob: b"),
        ("tel:+49-30-(1001)", "anna", "bob: b"),
        ("sip:+49.30.1001@campus.example;user=phone", "anna", "bob: b"),
        ("sip:+49.30.1001@campus.example;user=PHONE", "anna", "bob: b"),
        ("sip:+49.30.1001@campus.example;user=ip", "anna", "404"),
        ("sip:+49.30.1001@campus.example", "anna", "404"),
        ("sip:x-ray@campus.example;user=phone", "anna", "bob: b"),  # a name marked as a number
        ("tel:+49301001;phone-context=labs.example", "anna", "bob: b"),  # has no context
        # The context of a local number.
        ("tel:1001;phone-context=labs.example", "anna", "emil: e"),
        ("tel:1001;phone-context=LABS.example", "anna", "emil: e"),
        ("tel:1001;phone-context=+49-30", "anna", "bob: b"),
        ("tel:1001;phone-context=elsewhere.example", "anna", "404"),
        ("tel:1001;phone-context=elsewhere.example", "peer", "404"),
        ("tel:1001;phone-context=elsewhere.example", "stranger", "480"),
        ("sip:1001;phone-context=labs.example@campus.example;user=phone", "anna", "emil: e"),
        ("sip:1001;x=1;Phone-Context=labs.example@campus.example;user=phone", "anna", "emil: e"),
        ("sip:1001;x=1@campus.example;user=phone", "anna", "bob: b"),
        ("sip:echo;phone-context=else.example@campus.example;user=phone", "anna", "404"),
        ("sip:1001;phone-context=labs.example@campus.example", "anna", "404"),  # a name
        (
            "sip:1001;phone-context=labs.example@elsewhere.example;user=phone",
            "stranger",
            "403 Relaying Denied",
        ),
        # Nobody: whoever is known hears 404, a stranger the same as of everybody.
        ("sip:nobody@campus.example", "anna", "404"),
        ("sip:nobody@campus.example", "peer", "404"),
        ("sip:nobody@campus.example", "stranger", "480"),
        ("sip:ghost@campus.example", "anna", "404"),
        ("tel:+4912345678", "anna", "404"),
        # There, and not to be called.
        ("sip:carl@campus.example", "anna", "480 for carl"),
        ("sip:carl@campus.example", "peer", "480 for carl"),
        ("sip:carl@campus.example", "stranger", "480 for carl"),
        ("sip:1003@campus.example", "anna", "480 for carl"),
        ("sip:dora@campus.example", "anna", "480 for dora"),
        ("sip:fred@campus.example", "anna", "480 for fred"),
        ("sip:fred@campus.example", "stranger", "480 for fred"),
        # sips: contacts over TLS alone (RFC 5630 §5.3).
        ("sips:gina@campus.example", "anna", "gina: g2"),
        ("sip:gina@campus.example", "anna", "gina: g1 g2"),
        ("sips:bob@campus.example", "anna", '480 for bob, 380 proxy "SIPS Not Allowed"'),
        ("sips:carl@campus.example", "anna", '480 for carl, 380 proxy "SIPS Not Allowed"'),
        ("sips:nobody@campus.example", "stranger", NO_SIPS),
        ("sips:nobody@campus.example", "anna", "404"),
    ],
)
def test_the_plan_for_a_question(uri: str, who: str, plan: str) -> None:
    assert in_short(plan_for(question(uri, who))) == plan


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS", "TELEPORT"])
@pytest.mark.parametrize(
    "uri", ["sip:bob@campus.example", "sip:echo@campus.example", "sip:x@elsewhere.example"]
)
def test_the_plan_is_the_same_for_every_method(uri: str, method: str) -> None:
    asked = question(uri, "anna", method)
    assert in_short(plan_for(asked)) == in_short(plan_for(question(uri, "anna")))


def test_an_emergency_call_is_told_what_to_do() -> None:
    plan = plan_for(question("sip:112@campus.example", "anna"))
    assert isinstance(plan, Refuse)
    assert plan.reason == (
        'SIP;cause=404;text="No emergency calls here: use a mobile phone and dial 112"'
    )


@pytest.mark.parametrize("scheme", ["sip", "sips"])
@pytest.mark.parametrize("user", ["carl", "dora", "fred"])
def test_a_stranger_cannot_tell_who_is_here(scheme: str, user: str) -> None:
    nobody = plan_for(question(f"{scheme}:nobody@campus.example", "stranger"))
    plan = plan_for(question(f"{scheme}:{user}@campus.example", "stranger"))
    assert isinstance(nobody, Refuse)
    assert isinstance(plan, Refuse)
    for said in ("status", "phrase", "reason", "warning"):
        assert getattr(plan, said) == getattr(nobody, said)


def test_a_number_is_looked_up_nowhere_without_a_domain() -> None:
    nowhere = Directory()
    assert in_short(plan_for(question("tel:1001", "stranger"), {}, nowhere)) == "480"


# --- phones, their order and their flows --------------------------------------------------------------
def of(name: str, q: int = 1000, instance: str = "", expires_s: float = 3600) -> Binding:
    return a_binding(name, q=q, instance=instance, expires_at=AT + expires_s)


@pytest.mark.section("3261 16.6", "5626 7")
@pytest.mark.parametrize(
    ("live", "groups"),
    [
        ([of("a")], "a"),
        ([of("a"), of("b")], "a b"),
        ([of("a"), of("b", 500)], "a | b"),
        ([of("a", 500), of("b"), of("c", 500), of("d", 0)], "b | a c | d"),
        # Bindings of one instance are ways to one phone, the newest first.
        ([of("a", instance="i"), of("b", instance="i", expires_s=3700)], "b>a"),
        ([of("a", instance="i", expires_s=3700), of("b", instance="i")], "a>b"),
        ([of("a", instance="i"), of("b", instance="i")], "a>b"),
        (
            [
                of("a", instance="i", expires_s=1),
                of("b", instance="i", expires_s=2),
                of("c", instance="i", expires_s=3),
            ],
            "c>b>a",
        ),
        ([of("a", instance="i"), of("b", instance="j")], "a b"),
        ([of("a", instance="i"), of("b"), of("c", instance="i"), of("d")], "a>c b d"),
        # A phone rings where its newest flow stands.
        ([of("a", 500, "i"), of("b", 900, "i", 3700), of("c", 700)], "b>a | c"),
        ([of("a", 900, "i", 3700), of("b", 500, "i"), of("c", 700)], "a>b | c"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bindings",
)
def test_phones_ring_by_preference_each_by_one_flow(live: list[Binding], groups: str) -> None:
    plan = plan_for(question("sip:bob@campus.example", "anna"), {2: live})
    assert in_short(plan) == f"bob: {groups}"


FLOW: Final = Flow("TCP", ("10.0.0.1", 5060), ("203.0.113.9", 4711), 7)
PATH: Final = ("<sip:edge.example;lr>",)
OURS: Final = "sip:b@192.0.2.1"
SECURE: Final = "sips:b@192.0.2.1"


@pytest.mark.section("5630 5.3")
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another"])
@pytest.mark.parametrize(
    ("scheme", "contact", "uri_text", "hop"),
    [
        ("sip", OURS, OURS, ""),
        ("sips", SECURE, SECURE, ""),
        ("sip", SECURE, OURS, SECURE),  # stays a sip URI, and goes over TLS
        ("sip", "SIPS:b@192.0.2.1", OURS, "SIPS:b@192.0.2.1"),
    ],
)
def test_what_a_target_says(
    scheme: str, contact: str, uri_text: str, hop: str, others: int
) -> None:
    binding = a_binding("b", line_id=2, contact=contact, flow=FLOW, path=PATH)
    more = [a_binding(f"o{n}", contact=f"sips:o{n}@192.0.2.1") for n in range(others)]
    plan = plan_for(question(f"{scheme}:bob@campus.example", "anna"), {2: [binding, *more]})
    assert isinstance(plan, Fork)
    target = plan.groups[0].targets[0]
    assert (target.uri_text, target.hop) == (uri_text, hop)
    assert (target.flow, target.path, target.line_id) == (FLOW, PATH, 2)
    assert target.other_flows == ()
    assert plan.groups[0].ring_s is None


def test_the_other_flows_of_a_phone_are_asked_for_in_the_same_way() -> None:
    flows = [
        a_binding("a", contact="sips:a@192.0.2.1", instance="i", expires_s=2),
        a_binding("b", contact="sips:b@192.0.2.1", instance="i", flow=FLOW, expires_s=1),
    ]
    for scheme, uri_text, hop in (("sip", OURS, SECURE), ("sips", SECURE, "")):
        plan = plan_for(question(f"{scheme}:bob@campus.example", "anna"), {2: flows})
        assert isinstance(plan, Fork)
        [other] = plan.groups[0].targets[0].other_flows
        assert (other.uri_text, other.hop, other.flow) == (uri_text, hop, FLOW)


# --- the same question about somebody else ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("uri", "who", "user", "asked"),
    [
        ("sip:bob@campus.example", "anna", "fred", "sip:fred@campus.example"),
        ("sips:bob@labs.example", "anna", "1001", "sips:1001@labs.example"),
        ("sip:bob@campus.example;user=phone", "stranger", "fred", "sip:fred@campus.example"),
        ("tel:1001", "emil", "1002", "sip:1002@labs.example"),
    ],
)
def test_a_question_is_asked_about_another_user(uri: str, who: str, user: str, asked: str) -> None:
    query = question(uri, who, "MESSAGE").redirected(user)
    assert (query.uri_text, query.uri.text) == (asked, asked)
    assert query.domain == query.uri.host
    assert (query.method, query.services) == ("MESSAGE", frozenset({"echo"}))
    assert query.caller == DIRECTORY.account_by_name(who)


@pytest.mark.parametrize("who", ["stranger", "peer"])
def test_whoever_is_trusted_still_is_when_asked_about_another(who: str) -> None:
    assert question("sip:bob@campus.example", who).redirected("fred").is_trusted is (who == "peer")


# --- names and numbers in URIs ---------------------------------------------------------------------------
@pytest.mark.section("3966 3", "3261 19.1.6")
@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("tel:+49-30-1001", "+49301001"),
        ("tel:+49301001;phone-context=labs.example", "+49301001"),
        ("sip:+49.30.1001@elsewhere.example;user=phone", "+49301001"),
        ("sip:+49.30.1001@elsewhere.example", "+49.30.1001"),  # as it is written
        ("tel:1001", ""),
        ("tel:1001;phone-context=+49-30", "+49301001"),
        ("tel:1001;phone-context=labs.example", ""),
        ("sip:bob@campus.example", ""),
        ("sip:campus.example", ""),
    ],
)
def test_the_full_number_that_a_uri_asks_for(uri: str, number: str) -> None:
    assert dialled_number(parse_uri(uri)) == number


@pytest.mark.section("5031 4.2")
@pytest.mark.parametrize(
    ("uri", "emergency"),
    [
        ("urn:service:sos", True),
        ("urn:service:sos.police", True),
        ("urn:service:counseling", False),
        ("tel:112", True),
        ("tel:1-1-2;phone-context=+49", True),
        ("tel:1122", False),
        ("sip:112@campus.example;user=phone", True),
        ("sip:112;phone-context=+49@campus.example;user=phone", True),
        ("sip:112@campus.example", False),  # a name; `decide` knows it all the same
        ("sip:bob@campus.example", False),
    ],
)
def test_what_an_emergency_is(uri: str, emergency: bool) -> None:
    assert is_emergency(parse_uri(uri)) is emergency


@pytest.mark.parametrize(
    ("uri", "domain", "name"),
    [
        ("sip:bob@campus.example", CAMPUS, "bob"),
        ("sip:1001@campus.example", CAMPUS, "bob"),
        ("sip:1001@labs.example", LABS, "emil"),
        ("sip:bob@elsewhere.example", None, None),
        ("sip:nobody@campus.example", CAMPUS, None),
        ("sip:+49-30-1001@campus.example;user=phone", CAMPUS, "bob"),
        ("sip:1001;phone-context=labs.example@campus.example;user=phone", CAMPUS, "emil"),
        ("sip:1001;phone-context=labs.example@elsewhere.example;user=phone", None, "emil"),
        ("sip:1001;phone-context=else.example@campus.example;user=phone", CAMPUS, "bob"),
        ("tel:+49301001", None, "bob"),
        ("tel:emil", None, "emil"),  # in whichever domain it is
        ("tel:1001;phone-context=labs.example", None, "emil"),
        ("tel:4711", None, None),
        ("sip:carl@campus.example", CAMPUS, "carl"),  # suspended ones, too
    ],
)
def test_the_account_that_a_uri_names(uri: str, domain: str | None, name: str | None) -> None:
    account = account_named(DIRECTORY, parse_uri(uri), domain)
    assert (account and account.username) == name
