"""Calls and dialogs for tests."""

from __future__ import annotations

from typing import Any, Final

from sipcore.calls import Call, Dialog, Leg
from sipcore.transport.flow import Flow

AT: Final = 1_800_000_000.0
NEAR: Final = Flow("TLS", ("10.0.0.1", 5061), ("203.0.113.9", 4711), 3, "peer.example")
FAR: Final = Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::9", 5060))


def a_call(context: str = "ctx", **fields: Any) -> Call:
    values: dict[str, Any] = {
        "context": context,
        "call_id": f"id of {context}",
        "caller_tag": "a",
        "from_value": '"Anna" <sip:anna@campus.example>;tag=a',
        "to_value": "<sip:bob@campus.example>",
        "caller_line": 1,
        "callee_line": 2,
        "begun_now": 100.0,
        "begun_at": AT,
    }
    return Call(**(values | fields))


def a_dialog(tag: str = "b", **fields: Any) -> Dialog:
    """A dialog; `caller_…` and `callee_…` are what is known of its legs."""
    values: dict[str, Any] = {
        "caller_contact": "sip:anna@192.0.2.1",
        "callee_contact": "sip:bob@192.0.2.2",
        "caller_routes": ["<sip:before.example;lr>"],
        "callee_routes": ["<sip:after.example;lr>", "<sip:far.example;lr>"],
        "caller_cseq": 7,
        "callee_cseq": 0,
        "caller_flow": NEAR,
        "callee_flow": FAR,
        "answered_now": 100.0,
        "answered_at": AT,
    } | fields
    caller, callee = (
        Leg(*(values.pop(f"{side}_{part}") for part in ("contact", "routes", "cseq", "flow")))
        for side in ("caller", "callee")
    )
    return Dialog(tag, caller, callee, **values)
