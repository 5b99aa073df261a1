"""How a contact is reached: Path (RFC 3327), kept flows, outbound (RFC 5626 §6)."""

from __future__ import annotations

import pytest

from sipcore.registrar import RegistrarPolicy, Write, process
from sipcore.transport.flow import Flow
from tests.sipcore.registrar.harness import (
    ANNA,
    AT,
    CONTACT,
    SOURCE,
    TCP,
    UDP,
    UUID,
    Node,
    a_register,
)

PATHS = [("Path", "<sip:p2.example;lr>, <sip:p1.example;lr>"), ("Supported", "path")]
OUTBOUND = f'{CONTACT};+sip.instance="{UUID}";reg-id=1'
TAGS = [("Supported", "path, outbound")]


@pytest.fixture
def node() -> Node:
    return Node()


# --- Path -------------------------------------------------------------------------------------
def test_path_is_kept_in_order_and_copied_to_the_answer(node: Node) -> None:
    response = node.register(a_register(CONTACT, headers=PATHS, vias=3))
    assert [b.path for b in node.bindings()] == [("<sip:p2.example;lr>", "<sip:p1.example;lr>")]
    assert response.values("path") == ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]


def test_path_without_support_is_420(node: Node) -> None:
    response = node.register(a_register(CONTACT, headers=PATHS[:1], vias=2))
    assert response.status == 420
    assert response.first("unsupported") == "path"
    assert node.bindings() == []


def test_path_without_support_is_accepted_where_policy_says_so() -> None:
    node = Node(policy=RegistrarPolicy(path_without_support=True))
    assert node.register(a_register(CONTACT, headers=PATHS[:1], vias=2)).status == 200
    assert len(node.bindings()[0].path) == 2


def test_changed_path_replaces_the_binding_and_the_same_one_is_a_refresh(node: Node) -> None:
    node.register(a_register(CONTACT, headers=PATHS, vias=3))
    node.register(a_register(CONTACT, headers=PATHS, vias=3, cseq=2))
    assert node.changes[-1].upserts == ()
    node.register(a_register(CONTACT, cseq=3))
    assert [b.path for b in node.bindings()] == [()]


# --- flows ------------------------------------------------------------------------------------
def udp_from(source: str, port: int = 5060) -> Flow:
    return Flow("UDP", ("192.0.2.250", 5060), (source, port))


@pytest.mark.parametrize(
    ("host", "source", "kept"),
    [
        ("192.0.2.7", "192.0.2.7", False),
        ("192.0.2.7:6060", "192.0.2.7", False),
        ("10.0.0.5", "192.0.2.7", True),
        ("10.0.0.5:6060", "192.0.2.7", True),
        ("[2001:db8::7]", "2001:db8::7", False),
        ("[2001:DB8:0::7]", "2001:db8::7", False),
        ("[2001:db8::8]", "2001:db8::7", True),
        ("df7jal23ls0d.invalid", "192.0.2.7", True),
        ("phone.example", "192.0.2.7", False),
        ("phone1", "192.0.2.7", True),
        ("300.1.1.1", "192.0.2.7", False),
    ],
)
def test_udp_flow_is_kept_when_the_contact_cannot_be_where_it_says(
    node: Node, host: str, source: str, kept: bool
) -> None:
    flow = udp_from(source, 3072)
    node.register(a_register(f"<sip:anna@{host}>"), flow)
    assert [b.flow for b in node.bindings()] == [flow if kept else None]


def test_stream_is_kept_even_when_the_address_is_right(node: Node) -> None:
    node.register(a_register(CONTACT), TCP)
    assert [b.flow for b in node.bindings()] == [TCP]


@pytest.mark.parametrize("flow", [TCP, udp_from("198.51.100.9")])
def test_flow_of_a_proxy_is_not_kept(node: Node, flow: Flow) -> None:
    node.register(a_register(CONTACT, vias=2), flow)
    assert [b.flow for b in node.bindings()] == [None]


def test_registration_without_a_source_keeps_no_flow() -> None:
    request = a_register("<sip:anna@10.0.0.5>")
    outcome = process(request, ANNA, None, None, [], 0, AT, RegistrarPolicy(), "n1")
    assert isinstance(outcome, Write)
    (binding,) = outcome.change.upserts
    assert (binding.flow, binding.device_id) == (None, 0)


def test_nat_that_moves_to_another_port_gives_the_new_flow(node: Node) -> None:
    contact = "<sip:anna@10.0.0.5>"
    node.register(a_register(contact), udp_from(SOURCE, 3072))
    node.register(a_register(contact, cseq=2), udp_from(SOURCE, 3073))
    assert [b.flow for b in node.bindings()] == [udp_from(SOURCE, 3073)]
    node.register(a_register(contact, cseq=3), udp_from(SOURCE, 3073))
    assert node.changes[-1].upserts == ()


def test_refresh_through_another_node_moves_the_binding_there(node: Node) -> None:
    node.register(a_register(CONTACT))
    node.name = "n2"
    node.register(a_register(CONTACT, cseq=2))
    assert [b.node for b in node.bindings()] == ["n2"]


# --- outbound ---------------------------------------------------------------------------------
def test_reg_id_over_a_stream_is_applied_and_said_so(node: Node) -> None:
    response = node.register(a_register(OUTBOUND, headers=TAGS), TCP)
    assert response.first("require") == "outbound"
    assert response.contacts[0].params["reg-id"] == "1"
    (binding,) = node.bindings()
    assert (binding.instance, binding.reg_id, binding.flow) == (UUID, 1, TCP)


def test_outbound_is_not_required_of_a_client_that_does_not_list_it(node: Node) -> None:
    response = node.register(a_register(OUTBOUND), TCP)
    assert response.rows("require") == []
    assert node.bindings()[0].reg_id == 1


def test_reg_id_over_udp_keeps_the_flow_even_of_a_contact_that_is_where_it_says(node: Node) -> None:
    response = node.register(a_register(OUTBOUND, headers=TAGS), UDP)
    assert response.first("require") == "outbound"
    (binding,) = node.bindings()
    assert (binding.reg_id, binding.flow) == (1, UDP)


def test_reg_id_over_a_transport_without_keep_alive_is_ignored() -> None:
    node = Node(policy=RegistrarPolicy(outbound_transports=frozenset({"TCP"})))
    response = node.register(a_register(OUTBOUND, headers=TAGS), UDP)
    assert response.rows("require") == []
    assert "reg-id" not in response.contacts[0].params
    (binding,) = node.bindings()
    assert (binding.reg_id, binding.key) == (0, "sip:anna@192.0.2.7:5060")


def test_reg_id_without_instance_is_ignored(node: Node) -> None:
    response = node.register(a_register(f"{CONTACT};reg-id=1", headers=TAGS), TCP)
    assert response.rows("require") == []
    assert node.bindings()[0].reg_id == 0


@pytest.mark.parametrize("bad", ["0", "x", "-1", str(2**31), "9" * 30])
def test_improper_reg_id_is_ignored(node: Node, bad: str) -> None:
    contact = f'{CONTACT};+sip.instance="{UUID}";reg-id={bad}'
    node.register(a_register(contact, headers=TAGS), TCP)
    assert node.bindings()[0].reg_id == 0


def test_registration_again_replaces_by_instance_and_reg_id_whatever_contact(node: Node) -> None:
    node.register(a_register(OUTBOUND, headers=TAGS), TCP)
    moved = f'<sip:anna@10.9.9.9>;+sip.instance="{UUID}";reg-id=1'
    later = TCP._replace(connection=10)
    node.register(a_register(moved, headers=TAGS, call_id="reboot"), later)
    (binding,) = node.bindings()
    assert (binding.contact, binding.flow) == ("sip:anna@10.9.9.9", later)


def test_two_flows_of_one_instance_stand_side_by_side_with_the_same_contact(node: Node) -> None:
    node.register(a_register(OUTBOUND, headers=TAGS), TCP)
    second = OUTBOUND.replace("reg-id=1", "reg-id=2")
    node.register(a_register(second, headers=TAGS, cseq=2), TCP._replace(connection=10))
    assert [b.reg_id for b in node.bindings()] == [1, 2]
    node.register(a_register(f"{OUTBOUND};expires=0", headers=TAGS, cseq=3), TCP)
    assert [b.reg_id for b in node.bindings()] == [2]


def test_late_outbound_request_is_out_of_order(node: Node) -> None:
    node.register(a_register(OUTBOUND, headers=TAGS, cseq=5), TCP)
    assert node.register(a_register(OUTBOUND, headers=TAGS, cseq=5), TCP).status == 500


def test_two_lasting_contacts_with_a_reg_id_are_400(node: Node) -> None:
    assert node.register(a_register(OUTBOUND, "<sip:b@192.0.2.7>"), TCP).status == 400
    assert node.bindings() == []
    removing = a_register(OUTBOUND, "<sip:b@192.0.2.7>;expires=0")
    assert node.register(removing, TCP).status == 200


def test_edge_proxy_that_does_outbound_lets_reg_id_count(node: Node) -> None:
    headers = [("Path", "<sip:token@edge.example;lr;ob>"), *TAGS]
    response = node.register(a_register(OUTBOUND, headers=headers, vias=2))
    assert response.first("require") == "outbound"
    (binding,) = node.bindings()
    assert (binding.reg_id, binding.flow) == (1, None)


@pytest.mark.parametrize("path", [[], [("Path", "<sip:edge.example;lr>")]])
def test_first_hop_without_outbound_is_439(node: Node, path: list[tuple[str, str]]) -> None:
    response = node.register(a_register(OUTBOUND, headers=[*path, *TAGS], vias=2))
    assert response.status == 439
    assert node.bindings() == []


def test_first_hop_without_outbound_is_no_matter_to_others(node: Node) -> None:
    headers = [("Path", "<sip:edge.example;lr>"), ("Supported", "path")]
    assert node.register(a_register(OUTBOUND, headers=headers, vias=2)).status == 200
    assert node.bindings()[0].reg_id == 0


def test_registrar_without_outbound_neither_offers_nor_applies_it() -> None:
    node = Node(policy=RegistrarPolicy(outbound_transports=frozenset()))
    response = node.register(a_register(OUTBOUND, headers=TAGS), TCP)
    assert response.first("supported") == "path"
    assert response.rows("require") == []
    assert node.bindings()[0].reg_id == 0
    assert node.register(a_register(OUTBOUND, headers=TAGS, vias=2, cseq=2)).status == 200
    required = [("Require", "outbound")]
    assert node.register(a_register(CONTACT, headers=required, cseq=3)).status == 420


@pytest.mark.parametrize(
    "path", ["<sip:open", "sip:p1.example>", "<sip:a b@p1.example>", "<p1>", "<sip:p\udcff;lr>"]
)
def test_a_path_no_call_could_be_sent_by_is_400(node: Node, path: str) -> None:
    response = node.register(a_register(CONTACT, headers=[("Path", path), PATHS[1]], vias=2))
    assert response.status == 400
    assert node.bindings() == []


def test_a_long_path_is_400(node: Node) -> None:
    long = ", ".join(f"<sip:p{i}.example;lr>" for i in range(11))
    response = node.register(a_register(CONTACT, headers=[("Path", long), PATHS[1]], vias=2))
    assert response.status == 400
