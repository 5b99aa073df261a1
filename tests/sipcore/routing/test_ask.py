"""For which requests a decision asks the DNS whom a number reaches, and what the answer makes of it."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.directory import Account, AccountState, Directory, Domain, DomainAddress
from sipcore.locate import Answer, Naptr
from sipcore.message import Uri, parse_uri
from sipcore.routing import Ask, Plan, Query, Refuse, decide

ANNA: Final = Account(1, "anna", "campus.example")
DIRECTORY: Final = Directory(
    domains=[Domain("campus.example")],
    accounts=[ANNA, Account(2, "carl", "campus.example", AccountState.SUSPENDED)],
    addresses=[
        DomainAddress("campus.example", "anna", 1),
        DomainAddress("campus.example", "+49301001", 1),
        DomainAddress("campus.example", "+49301002", 2),
    ],
)
NUMBER: Final = "+4930123456"
DOMAIN: Final = "6.5.4.3.2.1.0.3.9.4.e164.arpa"
E164: Final = "e164.arpa"


def decided(uri_text: str, who: str, suffix: str = E164) -> Plan | Ask:
    uri = parse_uri(uri_text)
    query = Query(
        "INVITE",
        uri,
        uri_text,
        uri.host if uri.host in DIRECTORY.domains else None,
        ANNA if who == "anna" else None,
        frozenset({"echo"}),
        is_trusted=who == "peer",
        enum_suffix=suffix,
    )
    return decide(DIRECTORY, lambda line_id: [], query)


@pytest.mark.section("6116 3.2")
@pytest.mark.parametrize(
    ("suffix", "uri", "who", "asks"),
    [
        (E164, f"tel:{NUMBER}", "anna", True),
        (E164, f"tel:{NUMBER}", "peer", True),
        (E164, "tel:+49-30-(123)456", "anna", True),
        (E164, "sip:+49-30-123456@campus.example;user=phone", "anna", True),
        (E164, f"sip:{NUMBER}@campus.example", "anna", True),
        # Nobody is asked where that is switched off, or for a stranger.
        ("", f"tel:{NUMBER}", "anna", False),
        (E164, f"tel:{NUMBER}", "stranger", False),
        (E164, f"sip:{NUMBER}@campus.example", "stranger", False),
        # Only for what nobody here has: not for one who is not registered, or suspended.
        (E164, "tel:+49301001", "anna", False),
        (E164, "tel:+49301002", "anna", False),
        (E164, f"sip:{NUMBER}@elsewhere.example", "anna", False),
        (E164, "sip:echo@campus.example", "anna", False),
        # Only for a full number.
        (E164, "tel:1001", "anna", False),
        (E164, "tel:1001;phone-context=campus.example", "anna", False),
        (E164, "tel:123456;phone-context=+4930", "anna", True),
        (E164, "sip:nobody@campus.example", "anna", False),
        (E164, "sip:+nobody@campus.example", "anna", False),
        (E164, "tel:+49*30", "anna", False),
        (E164, "tel:+", "anna", False),
        # Never for an emergency, though its number with a context is a full one.
        (E164, "tel:112;phone-context=+49", "anna", False),
    ],
)
def test_whether_the_dns_is_asked(suffix: str, uri: str, who: str, asks: bool) -> None:
    decision = decided(uri, who, suffix)
    assert isinstance(decision, Ask) is asks
    if isinstance(decision, Ask):
        assert decision.question == (DOMAIN, "NAPTR")
        assert (decision.otherwise.status, decision.otherwise.callee) == (404, None)


def rule(regexp: str) -> Answer:
    return Answer(60.0, naptr=(Naptr(10, 10, "u", "E2U+sip", regexp, ""),))


SIP: Final = rule("!^.*$!sip:far@elsewhere.example!")
SIPS: Final = rule("!^.*$!sips:far@elsewhere.example!")


@pytest.mark.section("6116 3.4", "5630 5.3")
@pytest.mark.parametrize(
    ("uri", "answer", "found"),
    [
        (f"tel:{NUMBER}", SIP, "sip:far@elsewhere.example"),
        (f"tel:{NUMBER}", SIPS, "sips:far@elsewhere.example"),
        (f"sips:{NUMBER}@campus.example", SIPS, "sips:far@elsewhere.example"),
        (f"sips:{NUMBER}@campus.example", SIP, 404),  # asked for by sips, nothing else will do
        (f"tel:{NUMBER}", rule("!^.*$!sip:@:x!"), 404),  # no URI
        (f"tel:{NUMBER}", Answer(60.0), 404),
        (f"tel:{NUMBER}", Answer(0.0, failed=True), 480),
    ],
)
def test_what_an_answer_makes_of_the_question(
    uri: str, answer: Answer, found: str | int
) -> None:
    ask = decided(uri, "anna")
    assert isinstance(ask, Ask)
    outcome = ask.answered(answer)
    if isinstance(outcome, Uri):
        assert outcome.text == found
    else:
        assert isinstance(outcome, Refuse)
        assert outcome.status == found
        assert (outcome is ask.otherwise) is (found == 404)
