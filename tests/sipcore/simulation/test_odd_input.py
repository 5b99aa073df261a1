"""What a peer can write that nobody expects: one answer, one record, and nothing left behind."""

from __future__ import annotations

import pytest

from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.test_calls import end_of, make_world, registered
from tests.sipcore.simulation.test_rules import sent
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])


@pytest.mark.parametrize(
    "target",
    [
        "sip:x@999.1.1.1",
        "sip:x@127.1",
        "sip:x@1.2.3.4.5",
        "sip:x@[::::]",
        "sip:x@192.0.2.1;maddr=1.2",
        "sip:x@[2001:db8::1]",  # we have no such socket
        "sip:x@192.0.2.1;transport=smoke",
        "sip:x@192.0.2.1;transport=tls",
        "sips:x@192.0.2.1",
    ],
)
def test_what_we_cannot_send_to_is_refused_at_once(size: Size, target: str) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = sent(anna, anna.build("INVITE", target))
    assert call.status == 500
    assert end_of(world)["cause"] == "failed"


def test_a_phone_with_an_odd_address_is_not_reached_and_does_no_harm(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register(contact="<sip:bob@1.2.3.4.5>")
    call = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}"))
    assert call.status == 500
    end_of(world)
