"""Nonces: who minted them, for what, until when, and how often they were used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.auth import CountState, Nonces, NonceState

KEY = b"k" * 32
AT = 1_800_000_000.0
CALL = "a84b4c76e66710@pc33.example"


def make_nonces(node: str = "n1", incarnation: int = 7, **options: int) -> Nonces:
    return Nonces(KEY, node, incarnation, 300, **options)


def test_own_nonce_is_fresh_until_its_lifetime_is_over() -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    assert nonces.check(nonce, CALL, AT) is NonceState.FRESH
    assert nonces.check(nonce, CALL, AT + 299) is NonceState.FRESH
    assert nonces.check(nonce, CALL, AT + 300) is NonceState.EXPIRED


def test_no_two_nonces_are_the_same() -> None:
    nonces = make_nonces()
    assert len({nonces.issue(CALL, AT) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "other", [make_nonces(node="n2"), make_nonces(incarnation=8)], ids=["node", "incarnation"]
)
def test_nonce_of_another_worker_or_life_is_foreign(other: Nonces) -> None:
    assert make_nonces().check(other.issue(CALL, AT), CALL, AT) is NonceState.FOREIGN


def test_nonce_shown_for_another_call_is_foreign() -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    assert nonces.check(nonce, "another@pc33.example", AT) is NonceState.FOREIGN


def test_nonce_made_with_another_key_is_foreign() -> None:
    other = Nonces(b"x" * 32, "n1", 7)
    assert make_nonces().check(other.issue(CALL, AT), CALL, AT) is NonceState.FOREIGN


@pytest.mark.parametrize("nonce", ["", "x", "0" * 48, "é" * 48, "\udc80" * 48, "0" * 10_000])
def test_anything_else_is_foreign(nonce: str) -> None:
    assert make_nonces().check(nonce, CALL, AT) is NonceState.FOREIGN


def test_changing_any_character_of_a_nonce_makes_it_foreign() -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    for index, char in enumerate(nonce):
        other = "0" if char != "0" else "1"
        changed = nonce[:index] + other + nonce[index + 1 :]
        assert nonces.check(changed, CALL, AT) is NonceState.FOREIGN


def test_keys_longer_than_the_hash_takes_are_used_whole() -> None:
    long, longer = Nonces(b"k" * 100, "n1", 7), Nonces(b"k" * 101, "n1", 7)
    nonce = long.issue(CALL, AT)
    assert long.check(nonce, CALL, AT) is NonceState.FRESH
    assert longer.check(nonce, CALL, AT) is NonceState.FOREIGN


def test_each_count_of_a_nonce_is_good_once() -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    assert nonces.count(nonce, 1, AT) is CountState.NEW
    assert nonces.count(nonce, 2, AT) is CountState.NEW
    assert nonces.count(nonce, 1, AT) is CountState.SEEN
    assert nonces.count(nonce, 2, AT) is CountState.SEEN


def test_counts_that_overtook_each_other_are_good() -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    order = [1, 4, 2, 3, 40, 39, 9]
    assert [nonces.count(nonce, nc, AT) for nc in order] == [CountState.NEW] * len(order)


def test_count_older_than_the_window_is_a_replay() -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    nonces.count(nonce, 40, AT)
    assert nonces.count(nonce, 8, AT) is CountState.SEEN
    assert nonces.count(nonce, 9, AT) is CountState.NEW


@pytest.mark.parametrize("nc", [0, -1, 2**32])
def test_count_out_of_range_is_refused(nc: int) -> None:
    nonces = make_nonces()
    assert nonces.count(nonces.issue(CALL, AT), nc, AT) is CountState.SEEN


def test_nonces_are_counted_apart() -> None:
    nonces = make_nonces()
    first, second = nonces.issue(CALL, AT), nonces.issue(CALL, AT)
    assert nonces.count(first, 1, AT) is CountState.NEW
    assert nonces.count(second, 1, AT) is CountState.NEW


def test_nonce_used_once_is_used_up() -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    assert nonces.use_once(nonce, AT)
    assert not nonces.use_once(nonce, AT)


def test_counts_are_remembered_for_the_whole_life_of_a_nonce() -> None:
    nonces = make_nonces()
    for second in range(0, 900, 50):  # generations turn meanwhile
        nonces.count(nonces.issue(CALL, AT + second), 1, AT + second)
        nonce = nonces.issue(CALL, AT + second)
        assert nonces.count(nonce, 1, AT + second) is CountState.NEW
        assert nonces.count(nonce, 1, AT + second + 299) is not CountState.NEW


def test_counts_are_forgotten_after_two_lifetimes() -> None:
    nonces = make_nonces()
    for second in range(5000):
        nonces.count(nonces.issue(CALL, AT + second), 1, AT + second)
    assert len(nonces) <= 601


def test_memory_is_bounded_and_no_replay_slips_through_when_full() -> None:
    nonces = make_nonces(generation_size=100)
    used = []
    for number in range(1000):
        at = AT + number * 0.1
        nonce = nonces.issue(CALL, at)
        assert nonces.count(nonce, 1, at) in (CountState.NEW, CountState.FORGOTTEN)
        used.append(nonce)
    assert len(nonces) <= 200
    at = AT + 100
    assert all(nonces.count(nonce, 1, at) is not CountState.NEW for nonce in used)


def test_nonce_too_old_for_a_full_memory_asks_for_a_new_one() -> None:
    nonces = make_nonces(generation_size=10)
    unused = nonces.issue(CALL, AT)
    for number in range(40):
        nonces.count(nonces.issue(CALL, AT + number), 1, AT + number)
    assert nonces.count(unused, 1, AT + 40) is CountState.FORGOTTEN
    assert nonces.count(nonces.issue(CALL, AT + 41), 1, AT + 41) is CountState.NEW


@given(st.lists(st.integers(1, 80), max_size=60))
def test_window_never_takes_a_count_twice_and_takes_what_is_recent(counts: list[int]) -> None:
    nonces = make_nonces()
    nonce = nonces.issue(CALL, AT)
    seen: set[int] = set()
    for nc in counts:
        expected = nc not in seen and nc > max(seen, default=0) - 32
        assert (nonces.count(nonce, nc, AT) is CountState.NEW) is expected
        if expected:
            seen.add(nc)


def test_repr_shows_no_key() -> None:
    assert repr(make_nonces()) == "<Nonces minted=0 counted=0>"
