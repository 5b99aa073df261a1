"""Trying a call: the page says what the SIP server would decide, from the few rows that it takes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from sipcore.directory import Directory
from sipcore.errors import MalformedMessage
from sipcore.routing import Ask, Fork, Plan, decide
from tests.voip_portal.portal.counting import count_queries
from tests.voip_portal.portal.test_second_look import staff as staff_of
from voip_portal.accounts.models import User
from voip_portal.directory.discovery import LOADERS
from voip_portal.lines.models import Device, Line, State
from voip_portal.numbers import services as numbers
from voip_portal.numbers.models import Address, AddressState, Domain, NumberRange
from voip_portal.peers.models import NumberLookup
from voip_portal.portal import try_call
from voip_portal.portal.try_call import SENTENCES, NoSuchCaller, bindings_of, decided

pytestmark = pytest.mark.django_db(databases="__all__")
AsUser = Callable[[User], Client]
Register = Callable[..., Any]


@pytest.fixture
def number(annas_device: Device) -> str:
    return str(numbers.number_of(annas_device.line))


def told(caller: str, dialled: str) -> list[str]:
    return try_call.try_call(caller, dialled).steps


def test_a_number_with_a_phone_rings_it(
    annas_device: Device, number: str, register: Register
) -> None:
    register(annas_device, contact="sip:anna@192.0.2.7:5062;transport=tcp")
    trial = try_call.try_call("", number)
    assert trial.uri == f"sip:{number}@campus.example"
    assert trial.steps == [
        "The caller is somebody outside.",
        f"sip:{number}@campus.example is an address of ours, in campus.example.",
        "It is held by anna@campus.example.",
        "1 phone rings.",
    ]
    assert trial.phones == [[annas_device.label]]


def test_who_calls_the_own_number_is_told_that_that_phone_does_not_ring(
    annas_device: Device, number: str, register: Register
) -> None:
    register(annas_device, contact="sip:anna@192.0.2.7:5062;transport=tcp")
    assert told("anna", number)[-1] == (
        "It is the caller's own line: of these, the phone that calls does not ring."
    )


def test_phones_of_lower_q_ring_after_the_others(
    annas_device: Device, number: str, register: Register
) -> None:
    contact = "sip:anna@192.0.2.{}:5062;transport=tcp"
    register(annas_device, key="one", contact=contact.format(7), q=500)
    register(annas_device, key="two", contact=contact.format(8), q=1000, device_id=0)
    assert try_call.try_call("", number).phones == [
        ["sip:anna@192.0.2.8:5062;transport=tcp"],
        [annas_device.label],
    ]


def test_a_phone_whose_registration_is_over_does_not_ring(
    annas_device: Device, number: str, register: Register
) -> None:
    register(annas_device, expires_at=1.0)
    assert told("", number)[-2:] == [
        "The line that has it has no phone connected now.",
        "The caller hears: 480.",
    ]


@pytest.mark.parametrize(
    ("dialled", "step", "status"),
    [
        ("112", "This is an emergency number, and there are no emergency calls here.", 404),
        ("tel:112", "This is an emergency number, and there are no emergency calls here.", 404),
        ("nobody", "Nobody here has this name or number.", 404),
        ("sip:campus.example", "Nobody is named: there is nothing before the domain.", 404),
        ("mailto:a@b.example", "Addresses of this kind cannot be called.", 416),
    ],
)
def test_who_dials_this_hears_that(
    annas_line: Line, dialled: str, step: str, status: int
) -> None:
    assert told("anna", dialled)[-2:] == [step, f"The caller hears: {status}."]


def test_a_stranger_is_told_the_same_of_unknown_and_suspended(
    annas_line: Line, number: str
) -> None:
    Line.objects.update(state=State.SUSPENDED)
    assert told("", number)[-2:] == [
        "The line that has it is suspended or closed.",
        "The caller hears: 480.",
    ]
    assert told("", "nobody")[-1] == "The caller hears: 480."


def test_other_domains_are_called_by_our_own_alone(annas_line: Line) -> None:
    assert told("anna", "bob@elsewhere.example")[-1] == (
        "The call is sent on to sip:bob@elsewhere.example."
    )
    assert told("", "bob@elsewhere.example")[-2:] == [
        "Somebody outside asks for another domain: we pass on nothing for strangers.",
        "The caller hears: 403.",
    ]


def test_a_service_answers(annas_line: Line) -> None:
    assert told("anna", "ECHO")[-1] == "Our service “echo” answers."


def test_the_dns_is_asked_for_a_full_number(annas_line: Line) -> None:
    NumberLookup.objects.create(suffix="e164.example")
    steps = told("anna", "+46701234567")
    assert steps[-4:] == [
        "Nobody here has the number: the DNS is asked for it"
        " (7.6.5.4.3.2.1.0.7.6.4.e164.example).",
        "If the DNS does not know it either:",
        "Nobody here has this name or number.",
        "The caller hears: 404.",
    ]


def test_a_caller_whom_nobody_knows_is_an_error(annas_line: Line) -> None:
    with pytest.raises(NoSuchCaller):
        told("nobody", "112")


@pytest.mark.parametrize("dialled", ["sip:", "sip:a@b c", "sip:@campus.example"])
def test_what_is_no_address_is_an_error(annas_line: Line, dialled: str) -> None:
    with pytest.raises(MalformedMessage):
        told("anna", dialled)


# -- The same as in the SIP server ----------------------------------------------------------------


def as_compared(plan: Plan | Ask) -> tuple[Any, ...]:
    if isinstance(plan, Ask):
        return (plan.question, as_compared(plan.otherwise))
    targets: Any = ()
    if isinstance(plan, Fork):
        targets = [[target.uri_text for target in group.targets] for group in plan.groups]
    return (type(plan), plan.trace, targets, getattr(plan, "status", 0))


@pytest.mark.parametrize("caller", ["", "anna"])
def test_it_is_decided_as_the_sip_server_does_with_all_rows(
    annas_device: Device, number: str, register: Register, caller: str
) -> None:
    register(annas_device, contact="sip:anna@192.0.2.7:5062;transport=tcp")
    Domain.objects.create(name="second.example")
    NumberLookup.objects.create(suffix="e164.example")
    whole = Directory(parts=[loader.load(try_call._Tables(), None) for loader in LOADERS])
    for dialled in (
        *(number, f"{number[:2]} {number[2:]}", f"{number};npdi", "anna", "Anna", "boris", "112"),
        *(f"anna@{host}" for host in ("campus.example", "second.example", "localhost")),
        *(f"tel:{number};phone-context=campus.example", f"tel:{number}", "tel:+46701234567"),
        *("+46701234567", "echo", "sips:anna@campus.example", "urn:service:sos", "a@foreign.example"),
    ):
        query, plan = decided(caller, dialled)
        if query.caller is not None:
            assert query.caller.aor == "anna@campus.example"
        assert as_compared(plan) == as_compared(decide(whole, bindings_of, query)), dialled


def test_every_reason_of_a_refusal_has_its_sentence() -> None:
    tree = ast.parse(inspect.getsource(inspect.getmodule(decide)))  # type: ignore[arg-type]
    reasons = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id == "_unavailable":
            reasons.add(ast.literal_eval(node.args[3]))
        elif node.func.id == "Refuse" and isinstance(node.args[-1], ast.Tuple):
            reasons.update(e.value for e in node.args[-1].elts if isinstance(e, ast.Constant))
    assert len(reasons) > 5
    assert reasons == set(SENTENCES)


# -- What is known of a name or number ------------------------------------------------------------


def test_a_held_number_leads_to_its_line(annas_line: Line, number: str) -> None:
    [report] = try_call.reports(f"sip:{number}@campus.example")
    assert (report.domain, report.sentence) == ("campus.example", "Held by a line.")
    assert report.line == annas_line
    [of] = NumberRange.objects.all()
    assert report.more == [f"in {of} (campus.example), the pool for students"]


def test_reserved_quarantined_and_free_are_told_apart(annas_line: Line, number: str) -> None:
    address = Address.objects.get(value=number)
    Address.objects.filter(pk=address.pk).update(line=None, state=AddressState.RESERVED)
    assert try_call.reports(number)[0].sentence == "Reserved: it is given to nobody."
    Address.objects.filter(pk=address.pk).update(state=AddressState.QUARANTINE, until="2027-03-01T00:00Z")
    assert try_call.reports(number)[0].sentence == (
        "In quarantine until 2027-03-01: then it may be given out again."
    )
    address.delete()
    assert try_call.reports(number)[0].sentence == "Nobody has this number."
    assert try_call.reports("99")[0].sentence == "This number is in no range of ours."
    assert try_call.reports("nobody") == []


# -- The page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["operator", "help desk", "auditor"])
def test_staff_try_calls(annas_line: Line, number: str, as_user: AsUser, role: str) -> None:
    page = as_user(staff_of(role)).get("/admin/try/", {"caller": "anna", "dialled": number})
    text = page.content.decode()
    assert "The line that has it has no phone connected now." in text
    assert "Held by a line." in text


def test_a_student_does_not(anna: User, as_user: AsUser) -> None:
    assert as_user(anna).get("/admin/try/", {"dialled": "112"}).status_code == 302


def test_what_is_wrong_is_said(annas_line: Line, as_user: AsUser) -> None:
    client = as_user(staff_of("operator"))
    for caller, dialled, said in (
        ("nobody", "112", "Nobody here is called “nobody”."),
        ("anna", "sip:a@b c", "“sip:a@b c” cannot be called."),
        ("<script>", "112", "“&lt;script&gt;”"),
    ):
        page = client.get("/admin/try/", {"caller": caller, "dialled": dialled})
        assert page.status_code == 200
        assert said in page.content.decode()


def test_more_lines_cost_no_more_queries(
    annas_line: Line, number: str, as_user: AsUser, line_of: Callable[[User], Line], boris: User
) -> None:
    client = as_user(staff_of("operator"))
    path = f"/admin/try/?caller=anna&dialled={number}"
    client.get(path)
    before = count_queries(lambda: client.get(path))
    line_of(boris)
    assert count_queries(lambda: client.get(path)) == before
