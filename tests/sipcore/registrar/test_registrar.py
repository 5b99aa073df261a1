"""RFC 3261 §10.3: what a REGISTER changes, what it must not, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.bindings import BindingChange
from sipcore.directory import Device
from sipcore.message import Request, Response, Uri, parse_message
from sipcore.registrar import (
    RegistrarPolicy,
    Reply,
    WhenFull,
    Write,
    process,
    refuse_unsupported,
)
from sipcore.registrar.registrar import Outcome
from tests.sipcore.registrar.harness import (
    ANNA,
    AT,
    CONTACT,
    TCP,
    UDP,
    UUID,
    Node,
    a_register,
    expires_of,
)


@pytest.fixture
def node() -> Node:
    return Node()


# --- the answer -------------------------------------------------------------------------------
def test_first_registration_is_bound_and_answered(node: Node) -> None:
    response = node.register(a_register(CONTACT, headers=[("User-Agent", "phone/1.0")]))
    assert response.status == 200
    assert expires_of(response) == {"sip:anna@192.0.2.7:5060": 3600}
    (binding,) = node.bindings()
    assert (binding.call_id, binding.cseq, binding.device_id) == ("call-1", 1, 11)
    assert (binding.user_agent, binding.node, binding.registered_at) == ("phone/1.0", "n1", AT)
    assert (binding.flow, binding.path, binding.q, binding.expires_at) == (
        None,
        (),
        1000,
        AT + 3600,
    )


def processed(
    node: Node, request: Request, device: Device, leads_back: Callable[[Uri], bool] | None = None
) -> Outcome:
    """What a REGISTER by UDP does, with the secret of this device."""
    version = node.table.version(ANNA.id)
    return process(
        request,
        ANNA,
        device,
        UDP,
        node.bindings(),
        version,
        AT,
        node.policy,
        node.name,
        leads_back,
    )


def test_a_binding_is_of_the_device_that_has_registered_it_last(node: Node) -> None:
    """Which of them is revoked takes it along: a mere refresh would leave it to the first."""
    node.register(a_register(CONTACT))
    outcome = processed(node, a_register(CONTACT, call_id="call-2"), Device(12, b"", b""))
    assert isinstance(outcome, Write)
    assert [(b.device_id, b.call_id) for b in outcome.change.upserts] == [(12, "call-2")]
    assert outcome.change.touches == ()


def test_a_contact_that_leads_back_to_us_is_refused_where_it_would_be_sent_to(node: Node) -> None:
    asked: list[str] = []

    def leads_back(uri: Uri) -> bool:
        asked.append(uri.text)
        return True

    request = a_register("<sip:anna@192.0.2.7:5060>")
    outcome = processed(node, request, ANNA.devices[0], leads_back)
    assert isinstance(outcome, Reply)
    assert (outcome.response.status, outcome.response.reason) == (403, "Contact Leads Back Here")
    # One that nothing is sent to, because the phone is reached by its flow, may say what it likes.
    hidden = processed(node, a_register("<sip:anna@10.0.0.9>"), ANNA.devices[0], leads_back)
    assert isinstance(hidden, Write)
    assert asked == ["sip:anna@192.0.2.7:5060"]


def test_answer_has_date_supported_and_a_to_tag(node: Node) -> None:
    response = node.register(a_register(CONTACT))
    assert response.first("date") == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert response.first("supported") == "path, outbound"
    assert response.to_tag
    assert response.rows("require") == []


def test_answer_is_a_message_that_parses(node: Node) -> None:
    request = a_register(f'{CONTACT};q=0.5;+sip.instance="{UUID}";audio;methods="INVITE,BYE"')
    response = node.register(request)
    again = parse_message(response.to_bytes())
    assert isinstance(again, Response)
    (contact,) = again.contacts
    assert contact.params == {
        "expires": "3600",
        "q": "0.5",
        "+sip.instance": UUID,
        "audio": None,
        "methods": "INVITE,BYE",
    }


def test_record_route_is_ignored_and_never_answered(node: Node) -> None:
    headers = [("Record-Route", "<sip:proxy.example;lr>")]
    assert node.register(a_register(CONTACT, headers=headers)).rows("record-route") == []


def test_query_lists_all_contacts_and_changes_nothing(node: Node) -> None:
    node.register(a_register("<sip:a@192.0.2.7>", "<sip:b@192.0.2.7>;expires=600"))
    node.at += 100
    response = node.register(a_register(call_id="query"))
    assert expires_of(response) == {"sip:a@192.0.2.7": 3500, "sip:b@192.0.2.7": 500}
    assert len(node.changes) == 1


def test_query_of_an_unregistered_account_lists_nothing(node: Node) -> None:
    response = node.register(a_register())
    assert response.status == 200
    assert response.contacts == []


def test_expired_binding_is_neither_listed_nor_compared(node: Node) -> None:
    node.register(a_register(CONTACT, cseq=50))
    node.at += 3600
    assert node.register(a_register()).contacts == []
    assert node.register(a_register(CONTACT, cseq=2)).status == 200  # its CSeq is forgotten too


def test_remaining_time_is_never_listed_as_zero(node: Node) -> None:
    node.register(a_register(CONTACT))
    node.at += 3599.9
    assert expires_of(node.register(a_register())) == {"sip:anna@192.0.2.7:5060": 1}


# --- intervals --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("contact_expires", "header", "granted"),
    [
        (None, None, 3600),
        ("600", None, 600),
        (None, "700", 700),
        ("600", "700", 600),
        ("600", "0", 600),
        ("60", None, 60),
        ("7200", None, 7200),
        ("86400", None, 7200),
        ("4294967295", None, 7200),
        ("9" * 400, None, 7200),
        ("soon", None, 3600),
        ("-1", None, 3600),
        ("", None, 3600),
        (None, "soon", 3600),
    ],
)
def test_interval_granted(
    node: Node, contact_expires: str | None, header: str | None, granted: int
) -> None:
    contact = CONTACT if contact_expires is None else f"{CONTACT};expires={contact_expires}"
    headers = [] if header is None else [("Expires", header)]
    response = node.register(a_register(contact, headers=headers))
    assert list(expires_of(response).values()) == [granted]


def test_default_interval_is_a_policy() -> None:
    node = Node(policy=RegistrarPolicy(default_expires_s=900))
    assert list(expires_of(node.register(a_register(CONTACT))).values()) == [900]


@pytest.mark.parametrize("seconds", [1, 59])
def test_too_brief_interval_is_423_with_min_expires(node: Node, seconds: int) -> None:
    response = node.register(a_register("<sip:ok@192.0.2.7>", f"{CONTACT};expires={seconds}"))
    assert response.status == 423
    assert response.first("min-expires") == "60"
    assert node.bindings() == []


def test_interval_of_an_hour_is_never_too_brief() -> None:
    node = Node(policy=RegistrarPolicy(min_expires_s=5000, max_expires_s=9000))
    assert node.register(a_register(f"{CONTACT};expires=3599")).status == 423
    response = node.register(a_register(f"{CONTACT};expires=3600"))
    assert list(expires_of(response).values()) == [3600]


# --- removal ----------------------------------------------------------------------------------
def test_interval_zero_removes_the_contact_only(node: Node) -> None:
    node.register(a_register("<sip:a@192.0.2.7>", "<sip:b@192.0.2.7>"))
    response = node.register(a_register("<sip:a@192.0.2.7>;expires=0", cseq=2))
    assert list(expires_of(response)) == ["sip:b@192.0.2.7"]


def test_expires_header_zero_removes_the_contact(node: Node) -> None:
    node.register(a_register(CONTACT))
    response = node.register(a_register(CONTACT, cseq=2, headers=[("Expires", "0")]))
    assert response.status == 200
    assert response.contacts == []
    assert node.bindings() == []


@pytest.mark.parametrize("contact", [f"{CONTACT};expires=0", "*"])
def test_removing_what_is_not_bound_only_has_the_version_confirmed(
    node: Node, contact: str
) -> None:
    node.register(a_register("<sip:a@192.0.2.7>;expires=60"))
    node.at += 60
    request = a_register(contact, call_id="c", headers=[("Expires", "0")])
    assert node.register(request).status == 200
    assert node.changes[1:] == [BindingChange(1, 1, 1)]


def test_contact_is_removed_under_an_equal_name(node: Node) -> None:
    node.register(a_register("<sip:%61nna@Host.example;x=1>"))
    node.register(a_register("<sip:anna@HOST.example>;expires=0", cseq=2))
    assert node.bindings() == []


def test_star_removes_all_contacts_of_all_phones(node: Node) -> None:
    node.register(a_register("<sip:a@192.0.2.7>", call_id="one"))
    node.register(a_register("<sip:b@192.0.2.7>", call_id="two"))
    response = node.register(a_register("*", call_id="three", headers=[("Expires", "0")]))
    assert response.status == 200
    assert response.contacts == []
    assert node.bindings() == []


@pytest.mark.parametrize(
    ("contacts", "expires"),
    [
        (("*",), None),
        (("*",), "60"),
        (("*",), "soon"),
        (("*", CONTACT), "0"),
        ((CONTACT, "*"), "0"),
        (("*", "*"), "0"),
        (("*;expires=60",), "0"),
    ],
)
def test_star_that_is_not_alone_or_not_zero_is_400(
    node: Node, contacts: tuple[str, ...], expires: str | None
) -> None:
    node.register(a_register(CONTACT))
    headers = [] if expires is None else [("Expires", expires)]
    assert node.register(a_register(*contacts, cseq=2, headers=headers)).status == 400
    assert len(node.bindings()) == 1


def test_star_out_of_order_removes_nothing(node: Node) -> None:
    node.register(a_register("<sip:a@192.0.2.7>", call_id="one"))
    node.register(a_register("<sip:b@192.0.2.7:5062>", call_id="two", cseq=5))
    late = a_register("*", call_id="two", cseq=5, headers=[("Expires", "0")])
    assert node.register(late).status == 500
    assert len(node.bindings()) == 2


# --- order ------------------------------------------------------------------------------------
@pytest.mark.parametrize("cseq", [4, 5])
def test_same_call_id_needs_a_higher_cseq(node: Node, cseq: int) -> None:
    node.register(a_register(CONTACT, cseq=5))
    assert node.register(a_register(f"{CONTACT};expires=600", cseq=cseq)).status == 500
    assert node.register(a_register(f"{CONTACT};expires=0", cseq=cseq)).status == 500
    (binding,) = node.bindings()
    assert (binding.cseq, binding.expires_at) == (5, AT + 3600)


def test_request_out_of_order_changes_no_other_contact_either(node: Node) -> None:
    node.register(a_register(CONTACT, cseq=5))
    response = node.register(a_register("<sip:new@192.0.2.7>", CONTACT, cseq=4))
    assert response.status == 500
    assert node.contacts() == ["sip:anna@192.0.2.7:5060"]


def test_other_call_id_may_have_any_cseq(node: Node) -> None:
    node.register(a_register(CONTACT, cseq=500))
    assert node.register(a_register(CONTACT, call_id="reboot", cseq=1)).status == 200
    (binding,) = node.bindings()
    assert (binding.call_id, binding.cseq) == ("reboot", 1)


def test_contact_twice_in_one_request_counts_once_and_the_last_wins(node: Node) -> None:
    node.register(a_register(f"{CONTACT};expires=600", f"{CONTACT};expires=900"))
    assert [b.expires_at for b in node.bindings()] == [AT + 900]
    node.register(a_register(f"{CONTACT};expires=600", f"{CONTACT};expires=0", cseq=2))
    assert node.bindings() == []
    node.register(a_register(f"{CONTACT};expires=600", cseq=3))
    node.register(a_register(f"{CONTACT};expires=700", f"{CONTACT};expires=800", cseq=4))
    assert [b.expires_at for b in node.bindings()] == [AT + 800]


# --- what is kept -----------------------------------------------------------------------------
def test_refresh_travels_as_a_touch(node: Node) -> None:
    headers = [("User-Agent", "phone/1.0")]
    node.register(a_register(f'{CONTACT};q=0.3;+sip.instance="{UUID}"', headers=headers))
    node.at += 1800
    node.register(a_register(f'{CONTACT};q=0.3;+sip.instance="{UUID}"', cseq=2, headers=headers))
    change = node.changes[-1]
    assert (change.upserts, change.deletes) == ((), ())
    assert [(t.expires_at, t.cseq) for t in change.touches] == [(AT + 5400, 2)]
    (binding,) = node.bindings()
    assert (binding.expires_at, binding.cseq, binding.registered_at) == (AT + 5400, 2, AT)


@pytest.mark.parametrize(
    ("contact", "headers"),
    [
        (f"{CONTACT};q=0.4", []),
        (f"{CONTACT};audio", []),
        (f'{CONTACT};+sip.instance="{UUID}"', []),
        (CONTACT, [("User-Agent", "phone/2.0")]),
        ("<sip:anna@192.0.2.7:5060;ob>", []),
    ],
)
def test_refresh_that_says_something_new_replaces_the_binding(
    node: Node, contact: str, headers: list[tuple[str, str]]
) -> None:
    node.register(a_register(CONTACT))
    node.at += 100
    node.register(a_register(contact, cseq=2, headers=headers))
    assert len(node.changes[-1].upserts) == 1
    (binding,) = node.bindings()
    assert binding.registered_at == AT


def test_equal_contact_written_otherwise_replaces_the_one_before(node: Node) -> None:
    node.register(a_register("<sip:anna@host.example;x=1>"))
    node.register(a_register("<sip:%61nna@HOST.example>", cseq=2))
    assert node.contacts() == ["sip:%61nna@HOST.example"]


def test_request_may_add_refresh_and_remove_at_once(node: Node) -> None:
    node.register(a_register("<sip:a@192.0.2.7>", "<sip:b@192.0.2.7>"))
    node.register(
        a_register("<sip:a@192.0.2.7>;expires=0", "<sip:b@192.0.2.7>, <sip:c@192.0.2.7>", cseq=2)
    )
    assert sorted(node.contacts()) == ["sip:b@192.0.2.7", "sip:c@192.0.2.7"]
    assert len(node.changes) == 2


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [("1", 1000), ("0", 0), ("0.5", 500), ("0.123", 123), ("1.000", 1000), ("0.", 0)]
    + [(bad, 1000) for bad in ("2", "1.5", "0.1234", "-0.1", "x", "", "0.x", "\u0660.\u0665")],
)
def test_q_is_kept_in_thousandths(node: Node, text: str, thousandths: int) -> None:
    node.register(a_register(f"{CONTACT};q={text}"))
    assert [b.q for b in node.bindings()] == [thousandths]


def test_unknown_contact_parameters_are_returned_as_written(node: Node) -> None:
    """RFC 4475 §3.3.12-14: header parameters stay header parameters."""
    response = node.register(a_register(f'{CONTACT};unknownparam;name="a;b\\"c";expires=600'))
    assert response.first("contact") == f'{CONTACT};expires=600;unknownparam;name="a;b\\"c"'


@pytest.mark.parametrize(
    "contact",
    [
        "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
        "<sip:user@example.com;unknownparam>",
        "<sip:user@example.com;pn-provider=apns;pn-prid=abc>",
    ],
)
def test_uri_parameters_and_headers_stay_in_the_uri(node: Node, contact: str) -> None:
    node.register(a_register(contact))
    assert node.contacts() == [contact[1:-1]]


def test_parameters_without_brackets_belong_to_the_header(node: Node) -> None:
    node.register(a_register("sip:user@example.com;transport=udp;expires=600"))
    (binding,) = node.bindings()
    assert (binding.contact, binding.params) == ("sip:user@example.com", ";transport=udp")
    assert binding.expires_at == AT + 600


def test_gruus_a_client_claims_are_not_kept(node: Node) -> None:
    node.register(a_register(f'{CONTACT};pub-gruu="sip:x@y;gr";temp-gruu="sip:z@y;gr"'))
    assert [b.params for b in node.bindings()] == [""]


# --- instances --------------------------------------------------------------------------------
def test_instance_that_comes_back_elsewhere_replaces_itself(node: Node) -> None:
    node.register(a_register(f'{CONTACT};+sip.instance="{UUID}"'))
    node.register(a_register("<sip:other@192.0.2.7>", call_id="other phone"))
    moved = f'<sip:anna@192.0.2.7:6060>;+sip.instance="{UUID}"'
    node.register(a_register(moved, call_id="after reboot"))
    assert sorted(node.contacts()) == ["sip:anna@192.0.2.7:6060", "sip:other@192.0.2.7"]


def test_instance_with_two_contacts_in_one_request_keeps_both(node: Node) -> None:
    both = (
        f'<sip:anna@192.0.2.7;transport=udp>;+sip.instance="{UUID}"',
        f'<sip:anna@192.0.2.7;transport=tcp>;+sip.instance="{UUID}"',
    )
    node.register(a_register(*both))
    node.register(a_register(*both, cseq=2))
    assert len(node.bindings()) == 2


def test_late_request_of_an_instance_does_not_displace_its_newer_contact(node: Node) -> None:
    node.register(a_register(f'{CONTACT};+sip.instance="{UUID}"', cseq=5))
    late = f'<sip:anna@192.0.2.7:6060>;+sip.instance="{UUID}"'
    assert node.register(a_register(late, cseq=4)).status == 500
    assert node.contacts() == ["sip:anna@192.0.2.7:5060"]


@pytest.mark.parametrize("bad", ['"quo\\"te"', '""', f'"{"x" * 201}"'])
def test_unusable_instance_is_ignored(node: Node, bad: str) -> None:
    assert node.register(a_register(f"{CONTACT};+sip.instance={bad}")).status == 200
    assert [b.instance for b in node.bindings()] == [""]


@pytest.mark.parametrize(("minted", "status"), [(0.9, 500), (1.0, 200)])
def test_a_lower_cseq_counts_with_the_answer_to_a_younger_challenge_alone(
    node: Node, minted: float, status: int
) -> None:
    node.register(a_register(CONTACT, cseq=1))
    node.at += 100
    node.register(a_register(CONTACT, cseq=500))
    node.nonce_at = AT + 100 + minted
    node.at += 5
    assert node.register(a_register(CONTACT, cseq=1)).status == status


# --- cap --------------------------------------------------------------------------------------
def fill(node: Node, count: int) -> None:
    for n in range(count):
        node.register(a_register(f"<sip:p{n}@192.0.2.7:{6000 + n}>;expires={1000 + n}", call_id=f"p{n}"))


def test_contact_beyond_the_cap_replaces_the_one_that_would_end_first(node: Node) -> None:
    fill(node, 10)
    node.register(a_register("<sip:p0@192.0.2.7:6000>;expires=5000", call_id="p0", cseq=2))
    assert node.register(a_register(CONTACT, call_id="new")).status == 200
    assert len(node.bindings()) == 10
    assert "sip:p1@192.0.2.7:6001" not in node.contacts()
    assert "sip:p0@192.0.2.7:6000" in node.contacts()


def test_contact_beyond_the_cap_is_403_by_policy() -> None:
    node = Node(policy=RegistrarPolicy(max_contacts=2, when_full=WhenFull.REFUSE))
    fill(node, 2)
    assert node.register(a_register(CONTACT, call_id="new")).status == 403
    assert node.contacts() == ["sip:p0@192.0.2.7:6000", "sip:p1@192.0.2.7:6001"]
    assert node.register(a_register("<sip:p0@192.0.2.7:6000>", call_id="p0", cseq=2)).status == 200
    swap = ("<sip:p0@192.0.2.7:6000>;expires=0", "<sip:p9@192.0.2.7:6009>")
    assert node.register(a_register(*swap, call_id="p0", cseq=3)).status == 200


def test_one_request_with_more_contacts_than_the_cap_is_403(node: Node) -> None:
    contacts = [f"<sip:p{n}@192.0.2.7:{6000 + n}>" for n in range(11)]
    assert node.register(a_register(*contacts)).status == 403
    assert node.bindings() == []


def test_refresh_is_not_refused_after_the_cap_was_lowered(node: Node) -> None:
    fill(node, 5)
    node.policy = RegistrarPolicy(max_contacts=2, when_full=WhenFull.REFUSE)
    assert node.register(a_register("<sip:p3@192.0.2.7:6003>", call_id="p3", cseq=2)).status == 200
    assert len(node.bindings()) == 5


# --- refusals ---------------------------------------------------------------------------------
def test_unknown_require_is_420_naming_what_is_not_known(node: Node) -> None:
    response = node.register(a_register(CONTACT, headers=[("Require", "path, gin, x-foo")]))
    assert response.status == 420
    assert response.first("unsupported") == "gin, x-foo"
    assert node.bindings() == []


def test_required_extension_we_have_is_fine(node: Node) -> None:
    assert node.register(a_register(CONTACT, headers=[("Require", "path")])).status == 200


def test_to_that_is_no_sip_address_is_400() -> None:
    for to in ("<tel:+4685551234>", "<http://campus.example>"):
        response = refuse_unsupported(a_register(CONTACT, to=to), RegistrarPolicy())
        assert response is not None
        assert response.status == 400


@pytest.mark.parametrize("contact", ["<tel:+4685551234>", "<mailto:anna@campus.example>"])
def test_contact_that_is_no_sip_address_is_403(node: Node, contact: str) -> None:
    assert node.register(a_register(CONTACT, contact)).status == 403
    assert node.bindings() == []


@pytest.mark.parametrize(
    ("contact", "status"),
    [
        ("<sip:>", 400),
        ("<nothing>", 400),
        ('"unclosed <sip:a@b>', 400),
        ("<sip:a@b", 400),
        (",", 200),  # no contact at all: a query
    ],
)
def test_broken_contact_is_400_and_changes_nothing(node: Node, contact: str, status: int) -> None:
    assert node.register(a_register(CONTACT)).status == 200
    assert node.register(a_register(contact, cseq=2)).status == status
    assert node.contacts() == ["sip:anna@192.0.2.7:5060"]
    assert node.register(a_register(CONTACT, contact, cseq=3)).status == status
    assert node.contacts() == ["sip:anna@192.0.2.7:5060"]


@pytest.mark.parametrize(
    "contact",
    [
        f"<sip:{'x' * 2000}@192.0.2.7>",
        "<sip:a\udcff@192.0.2.7>",
        "<sip:a\0@192.0.2.7>",
        "<sip:é\0@192.0.2.7>",
        f"{CONTACT};name=\udcff",
        f'{CONTACT};+sip.instance="<urn:\udcff>"',
    ],
)
def test_contact_that_no_store_could_keep_is_400(node: Node, contact: str) -> None:
    assert node.register(a_register(contact)).status == 400


@pytest.mark.parametrize("call_id", ["x" * 256, "\udcff", "a\0b"])
def test_call_id_that_no_store_could_keep_is_400(node: Node, call_id: str) -> None:
    assert node.register(a_register(CONTACT, call_id=call_id)).status == 400


@pytest.mark.parametrize(
    ("sent", "kept"), [("x" * 500, "x" * 120), ("ü\udcff\0", "ü??"), ("Träd/1", "Träd/1")]
)
def test_user_agent_is_kept_as_far_as_it_can_be(node: Node, sent: str, kept: str) -> None:
    node.register(a_register("<sip:é@192.0.2.7>", headers=[("User-Agent", sent)]))
    assert [b.user_agent for b in node.bindings()] == [kept]


def test_answers_to_one_request_have_the_same_to_tag(node: Node) -> None:
    first, second = (node.register(a_register()) for _ in range(2))
    other = node.register(a_register(call_id="other"))
    assert first.to_tag == second.to_tag != other.to_tag


contact_values = st.builds(
    lambda user, port, expires, q, reg: f"<sip:{user}@192.0.2.7:{port}>{expires}{q}{reg}",
    st.sampled_from("abc"),
    st.sampled_from([5060, 6060]),
    st.sampled_from(["", ";expires=0", ";expires=60", ";expires=7000"]),
    st.sampled_from(["", ";q=0.1"]),
    st.sampled_from(["", f';+sip.instance="{UUID}"', f';+sip.instance="{UUID}";reg-id=1']),
)
requests = st.lists(
    st.tuples(
        st.lists(contact_values | st.just("*"), max_size=4),
        st.sampled_from(["c1", "c2"]),
        st.integers(1, 9),
        st.sampled_from(["", "0"]),
        st.integers(0, 70),
        st.booleans(),
    ),
    max_size=25,
)


@given(requests)
def test_whatever_comes_the_answer_lists_what_is_held_and_refusals_change_nothing(
    steps: list[tuple[list[str], str, int, str, int, bool]],
) -> None:
    node = Node(policy=RegistrarPolicy(max_contacts=3))
    for contacts, call_id, cseq, expires, passed, stream in steps:
        node.at += passed
        before = node.bindings()
        headers = [("Expires", expires)] if expires else []
        request: Request = a_register(*contacts, call_id=call_id, cseq=cseq, headers=headers)
        response = node.register(request, TCP) if stream else node.register(request)
        if response.status == 200:
            assert [c.uri_text for c in response.contacts] == node.contacts()
            assert len(node.bindings()) <= 3
            keys = [b.key for b in node.bindings()]
            assert len(set(keys)) == len(keys)
        else:
            assert response.status in (400, 403, 423, 500)
            assert node.bindings() == before
    stored = {line.line_id: line for line in node.store.load()}
    if stored:
        held = {b.key: b for b in stored[ANNA.id].bindings if b.expires_at > node.at}
        assert held == {b.key: b for b in node.bindings()}
        assert stored[ANNA.id].version == node.table.version(ANNA.id)


def test_a_crowd_of_contacts_is_refused_before_each_is_compared_with_each() -> None:
    node = Node()
    crowd = ",".join(f"<sip:{i}@h>" for i in range(1000))
    response = node.register(a_register(crowd, crowd))
    assert response.status == 403
    assert node.bindings() == []
