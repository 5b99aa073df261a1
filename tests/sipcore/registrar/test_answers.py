"""What the 200 to a REGISTER says of how long a contact is bound."""

from __future__ import annotations

import pytest

from sipcore.registrar import RegistrarPolicy, answer
from tests.sipcore.registrar.harness import AT, CONTACT, Node, a_register, expires_of


class Drawn:
    """Gives the same bits each time."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def getrandbits(self, k: int, /) -> int:
        assert self.bits < 1 << k
        return self.bits

    def randint(self, a: int, b: int) -> int:
        raise AssertionError("not asked for")


LEAST, HALF, MOST = 0, 0x8000, 0xFFFF
ANNAS = "sip:anna@192.0.2.7:5060"


@pytest.mark.parametrize(
    ("asked", "bits", "said"),
    [
        (3600, LEAST, 3600),
        (3600, HALF, 3240),
        (3600, MOST, 2880),
        (99_999, LEAST, 7200),
        (99_999, MOST, 5760),
        (600, MOST, 480),
        (70, MOST, 60),
        (61, MOST, 60),
        (60, MOST, 60),
    ],
)
def test_a_phone_is_told_up_to_a_fifth_less_and_never_less_than_the_minimum(
    asked: int, bits: int, said: int
) -> None:
    node = Node()
    request = a_register(f"{CONTACT};expires={asked}")
    node.register(request)
    response = answer(request, node.bindings(), AT, node.policy, Drawn(bits))
    assert expires_of(response) == {ANNAS: said}
    [binding] = node.bindings()
    assert binding.expires_at == AT + min(asked, 7200)


def test_what_other_phones_have_left_is_told_as_it_is() -> None:
    node = Node()
    node.register(a_register("<sip:other@192.0.2.8>;expires=1000", call_id="other"))
    request = a_register(f"{CONTACT};expires=1000")
    node.register(request)
    response = answer(request, node.bindings(), AT + 10, node.policy, Drawn(MOST))
    assert expires_of(response) == {"sip:other@192.0.2.8": 990, ANNAS: 792}


def test_whoever_asks_what_is_bound_is_told_it_as_it_is() -> None:
    node = Node()
    node.register(a_register(f"{CONTACT};expires=1000"))
    assert expires_of(node.register(a_register(cseq=2))) == {ANNAS: 1000}


def test_a_deployment_may_grant_to_the_second() -> None:
    node = Node(policy=RegistrarPolicy(spread_part=0))
    request = a_register(f"{CONTACT};expires=1000")
    node.register(request)
    response = answer(request, node.bindings(), AT, node.policy, Drawn(MOST))
    assert expires_of(response) == {ANNAS: 1000}
