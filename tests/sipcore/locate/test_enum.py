"""From a telephone number to an address by NAPTR records (RFC 6116, RFC 3402)."""

from __future__ import annotations

import pytest

from sipcore.locate import Naptr, address_of_number, domain_of_number, is_full_number

NUMBER = "+46812345678"


def rule(regexp: str, order: int = 10, preference: int = 10, **changed: str) -> Naptr:
    given = {"flags": "u", "service": "E2U+sip", "replacement": ""} | changed
    return Naptr(order, preference, given["flags"], given["service"], regexp, given["replacement"])


def test_the_digits_are_turned_round_below_the_suffix() -> None:
    assert domain_of_number("+441632960083", "e164.arpa") == (
        "3.8.0.0.6.9.2.3.6.1.4.4.e164.arpa"  # RFC 6116 §3.2
    )


@pytest.mark.parametrize(
    "text", ["46812345678", "+", "+12", "+46a", "+4681234567890123", "", "+٤٦٨١٢"]
)
def test_what_is_no_full_number_is_not_asked_for(text: str) -> None:
    assert not is_full_number(text)


@pytest.mark.rfc("LOC-13")
@pytest.mark.parametrize(
    ("regexp", "found"),
    [
        ("!^.*$!sip:info@example.com!", "sip:info@example.com"),
        ("!^\\+46(.*)$!sip:0\\1@kth.example!", "sip:0812345678@kth.example"),
        ("!^\\+(46)(8)(.*)$!sip:\\3@\\2.\\1.example!", "sip:12345678@8.46.example"),
        ("/^.*$/sips:a\\/b@x.example/", "sips:a/b@x.example"),
        ("|^[+]46([0-9]{2,9})$|sip:\\1@x.example|i", "sip:812345678@x.example"),
        ("!^\\+4[67](8).*!SIP:\\1@x.example!", "SIP:8@x.example"),
        ("!12345!sip:x@x.example!", "sip:x@x.example"),
        ("!^\\+47.*$!sip:x@x.example!", ""),  # another's number
        ("!^.*$!mailto:x@x.example!", ""),
        ("!^.*$!sip:\\2@x.example!", ""),  # there is no second group
        ("!^.*$!sip:x@x.example", ""),
        ("!^.*$!sip:x@x.example!z", ""),
        ("!!sip:x@x.example!", "sip:x@x.example"),
        ("", ""),
        ("!", ""),
        ("1^.*$1sip:x@x.example1", ""),
        ("!^(.*$!sip:x@x.example!", ""),
        ("!^[9-0]$!sip:x@x.example!", ""),
        ("!^a{3,1}$!sip:x@x.example!", ""),
    ],
)
def test_a_rule_makes_an_address_of_the_whole_number(regexp: str, found: str) -> None:
    assert address_of_number(NUMBER, [rule(regexp)]) == found


@pytest.mark.rfc("LOC-13")
def test_order_comes_before_preference_and_others_services_are_passed_over() -> None:
    def to(name: str) -> str:
        return f"!^.*$!sip:{name}@x.example!"

    records = [
        rule(to("third"), 20, 1),
        rule(to("second"), 10, 20),
        rule(to("first"), 10, 10),
        rule("!^.*$!mailto:a@x.example!", 1, 1, service="E2U+email:mailto"),
        rule(to("terminal"), 1, 1, flags=""),
    ]
    assert address_of_number(NUMBER, records) == "sip:first@x.example"
    assert address_of_number(NUMBER, records[:2]) == "sip:second@x.example"
    assert address_of_number(NUMBER, records[:1]) == "sip:third@x.example"
    assert address_of_number(NUMBER, records[3:]) == ""
    old = rule(to("old"), service="sip+E2U", flags="U")
    assert address_of_number(NUMBER, [old]) == "sip:old@x.example"


@pytest.mark.parametrize(
    "pattern",
    [
        "^((.*)*)*x$",
        "^(.*)*x$",
        "^(.|.)*x$",
        "^(a|b)$",
        "^.*.*.*.*.*.*.*.*x$",
        "^(.+)+x$",
        "(?=.*)x",
        "^\\d+$",
        "^(.*)\\1$",
        "^[[:digit:]]*$",
        "^.{1,9999}$",
        "^" + "." * 300,
        # Almost what is taken: the check itself must not try all ways to read it.
        "[^x]" * 60 + "(",
        "[^^]" * 60 + "(",
        "(" + "[^x]" * 58 + ")(",
        "x*" * 100 + "{",
        "\\+" * 100 + "[",
        "(.*)" * 50 + "(",
        ".{1,2}" * 40 + "{",
    ],
)
def test_an_expression_that_could_take_long_is_none(pattern: str) -> None:
    assert address_of_number(NUMBER, [rule(f"!{pattern}!sip:x@x.example!")]) == ""


def test_four_open_ends_are_taken_and_no_more() -> None:
    for count, found in ((4, "sip:x@x.example"), (5, "")):
        assert address_of_number(NUMBER, [rule(f"!^{'.*' * count}$!sip:x@x.example!")]) == found
