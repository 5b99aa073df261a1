"""Which of the branches' failures the caller hears, and with what challenges (RFC 3261 §16.7)."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Final

import pytest

from sipcore.proxy import best_response, merge_challenges
from tests.sipcore.examples import a_response, in_words

RANKS: Final = (
    (600, 603, 604, 606, 607, 699),
    (300, 301, 302, 305, 380),
    (401, 407),
    (415, 420, 484),
    (486,),
    (400, 402, 403, 404, 410, 413, 421, 422, 423, 440, 480, 481, 482, 483, 487, 488, 491, 499),
    (408, 430),
    (500, 501, 502, 504, 505, 513, 599),
    (503,),
)
"""The best first; those of one row are equal, and the first to come is taken."""


def best_of(*statuses: int) -> int:
    return best_response([a_response(status) for status in statuses]).status


@pytest.mark.section("3261 16.7")
@pytest.mark.parametrize(
    ("better", "worse"), list(combinations(RANKS, 2)), ids=lambda rank: "/".join(map(str, rank[:3]))
)
def test_a_better_response_is_taken_whichever_came_first(
    better: tuple[int, ...], worse: tuple[int, ...]
) -> None:
    for one in better:
        for other in worse:
            assert best_of(one, other) == best_of(other, one) == one, (one, other)


@pytest.mark.parametrize("rank", RANKS, ids=lambda rank: "/".join(map(str, rank[:3])))
def test_of_equals_the_first_is_taken(rank: tuple[int, ...]) -> None:
    for one in rank:
        for other in rank:
            assert best_of(one, other) == one


@pytest.mark.section("3261 16.7")
@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((404,), 404),
        ((503,), 503),
        ((404, 486, 480), 486),
        ((408, 408, 480), 480),
        ((503, 408, 500), 408),
        ((486, 407, 404), 407),
        ((404, 302, 401), 302),
        ((302, 401, 603), 603),
        ((503, 430, 430), 430),
        ((503, 500, 503), 500),
    ],
    ids=str,
)
def test_the_best_of_several(statuses: tuple[int, ...], best: int) -> None:
    for order in permutations(statuses):
        assert best_of(*order) == best


WWW: Final = 'WWW-Authenticate: Digest realm="{}"'
PROXY: Final = 'Proxy-Authenticate: Digest realm="{}"'


@pytest.mark.section("3261 16.7")
@pytest.mark.parametrize(
    ("finals", "www", "proxy"),
    [
        # (status, rows) of each branch, the best first; what the best has afterwards.
        ([(401, [WWW.format("a")])], ["a"], []),
        ([(401, [WWW.format("a")]), (401, [WWW.format("b")])], ["a", "b"], []),
        ([(407, [PROXY.format("a")]), (407, [PROXY.format("b")])], [], ["a", "b"]),
        ([(401, [WWW.format("a")]), (407, [PROXY.format("b")])], ["a"], ["b"]),
        ([(407, [PROXY.format("a")]), (401, [WWW.format("b")])], ["b"], ["a"]),
        ([(401, [WWW.format("a")]), (404, [WWW.format("b")])], ["a"], []),
        ([(404, []), (401, [WWW.format("a")])], [], []),
        ([(603, []), (407, [PROXY.format("a")])], [], []),
        (
            [
                (401, [WWW.format("a"), WWW.format("b")]),
                (401, [PROXY.format("c"), WWW.format("d")]),
            ],
            ["a", "b", "d"],
            ["c"],
        ),
        ([(401, [WWW.format("a")]), (401, [WWW.format("a")])], ["a", "a"], []),
        ([(401, [WWW.format("a")]), (486, []), (407, [PROXY.format("b")])], ["a"], ["b"]),
    ],
    ids=in_words,
)
def test_the_challenges_of_all_branches_go_with_the_best(
    finals: list[tuple[int, list[str]]], www: list[str], proxy: list[str]
) -> None:
    responses = [a_response(status, *rows) for status, rows in finals]
    best = responses[0]
    merge_challenges(best, responses)
    assert best.rows("www-authenticate") == [f'Digest realm="{realm}"' for realm in www]
    assert best.rows("proxy-authenticate") == [f'Digest realm="{realm}"' for realm in proxy]
    for other, (_, rows) in zip(responses[1:], finals[1:], strict=True):
        assert [line for line in other.lines if "-Authenticate" in line] == rows
