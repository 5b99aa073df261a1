"""Contacts are compared as RFC 3261 §19.1.4 compares URIs."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.bindings import Binding, contact_key, equal_contacts, outbound_key
from sipcore.bindings.limits import MAX_KEY_LENGTH
from sipcore.message import parse_uri
from tests.sipcore.bindings.examples import a_binding

EQUAL = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
]
DIFFERENT = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
    ("sip:biloxi.com", "sip:bob@biloxi.com"),
    ("sip:bob:secret@biloxi.com", "sip:bob@biloxi.com"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;maddr=239.255.255.1"),
]


def bound(contact: str) -> Binding:
    return a_binding(contact=contact, key=contact_key(parse_uri(contact)))


def finds(bound_contact: str, asked: str) -> bool:
    uri = parse_uri(asked)
    return equal_contacts([bound(bound_contact)], uri, contact_key(uri)) != []


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_contacts_of_the_rfc_find_each_other(one: str, other: str) -> None:
    assert finds(one, other)
    assert finds(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_contacts_of_the_rfc_do_not(one: str, other: str) -> None:
    assert not finds(one, other)
    assert not finds(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_contacts_have_different_keys(one: str, other: str) -> None:
    assert contact_key(parse_uri(one)) != contact_key(parse_uri(other))


def test_key_evens_out_case_order_and_escapes() -> None:
    one = parse_uri("sip:%61lic%65%3b@EXAMPLE.com:5070;Transport=TCP;lr;a=%41?b=1&a=2")
    other = parse_uri("sip:alice%3B@example.com:5070;a=a;lr;transport=tcp?a=2&b=1")
    assert contact_key(one) == contact_key(other)


def test_key_of_an_ordinary_contact_is_its_text() -> None:
    text = "sip:anna@192.0.2.7:5062;transport=udp"
    assert contact_key(parse_uri(text)) == text


def test_long_key_is_cut_and_still_tells_contacts_apart() -> None:
    one, other = (contact_key(parse_uri(f"sip:a@h;pn-prid={'x' * 900}{n}")) for n in "12")
    assert len(one) == len(other) == MAX_KEY_LENGTH
    assert one != other
    assert one == contact_key(parse_uri(f"sip:a@H;pn-prid={'X' * 900}1"))


def test_key_keeps_broken_escapes() -> None:
    assert contact_key(parse_uri("sip:100%@h")) == "sip:100%@h"
    assert contact_key(parse_uri("sip:a%zz@h")) == "sip:a%zz@h"


def test_identical_contact_is_preferred_to_an_equal_one() -> None:
    plain, secure = bound("sip:carol@chicago.com"), bound("sip:carol@chicago.com;security=on")
    uri = parse_uri("sip:carol@chicago.com;security=on")
    assert equal_contacts([plain, secure], uri, contact_key(uri))[0] is secure


def test_outbound_binding_is_not_found_by_its_contact() -> None:
    key = outbound_key("<urn:uuid:1>", 1)
    held = a_binding(contact="sip:carol@chicago.com", key=key, instance="<urn:uuid:1>", reg_id=1)
    uri = parse_uri("sip:carol@chicago.com;x=1")
    assert equal_contacts([held], uri, contact_key(uri)) == []


def test_contact_that_cannot_be_read_equals_nothing() -> None:
    uri = parse_uri("sip:carol@chicago.com")
    assert equal_contacts([a_binding(contact="rubbish")], uri, contact_key(uri)) == []


def test_other_schemes_compare_as_text() -> None:
    assert finds("tel:+46-8-555", "tel:+46-8-555")
    assert not finds("tel:+46-8-555", "tel:+46-8-556")


users = st.sampled_from(["", "bob", "b%6Fb", "b;b", "b%3bb", "BOB"])
hosts = st.sampled_from(["h", "H", "[::1]", "192.0.2.1"])
tails = st.lists(
    st.sampled_from([";lr", ";x=1", ";X=%31", ";transport=udp", ";transport=TCP", ";user=phone"]),
    max_size=3,
)
headers = st.sampled_from(["", "?a=1&b=2", "?b=2&a=1", "?A=1&b=2"])
uris = st.builds(
    lambda u, h, t, q: f"sip:{u}{'@' if u else ''}{h}{''.join(t)}{q}", users, hosts, tails, headers
)


@given(uris, uris)
def test_equal_keys_mean_equal_uris(one: str, other: str) -> None:
    first, second = parse_uri(one), parse_uri(other)
    if contact_key(first) == contact_key(second):
        assert first.equals(second)


def test_keys_of_all_equal_rfc_pairs_without_ignored_parameters_agree() -> None:
    same = [pair for pair in EQUAL if "newparam" not in pair[1]]
    for one, other in itertools.chain(same):
        assert contact_key(parse_uri(one)) == contact_key(parse_uri(other))
