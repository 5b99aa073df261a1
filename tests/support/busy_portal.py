"""Run as a process of its own: one kind of the portal's work, as fast as it goes, for some seconds.

    python -m tests.support.busy_portal signups|records|retention SECONDS

Prints how often it was done and the longest time that one took, as JSON. Any error of the database
ends it with a traceback.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import django

LINES_PER_BATCH = 500
A_LONG_TIME_S = 400 * 86_400
"""So old are the calls that are stored: retention takes them away again."""


def main() -> None:
    what, seconds = sys.argv[1], float(sys.argv[2])
    django.setup()
    work = {"signups": signups, "records": records, "retention": retention}[what]()
    end = time.monotonic() + seconds
    count, longest = 0, 0.0
    for step in work:
        begun = time.monotonic()
        if begun >= end:
            break
        step()
        count += 1
        longest = max(longest, time.monotonic() - begun)
    json.dump({"count": count, "longest_s": round(longest, 3)}, sys.stdout)


def signups() -> Iterator[Callable[[], object]]:
    """What one sign-up writes: a person, a line with name and number, a device."""
    from voip_portal.accounts.models import User
    from voip_portal.lines.services import add_device
    from voip_portal.nodes.services import realm
    from voip_portal.numbers.services import open_line

    def sign_up(name: str) -> None:
        user = User.objects.create(email=f"{name}@campus.example", name=name)
        add_device(open_line(user, name), "Phone", realm())

    letters = "abcdefghkpqrtx"  # no two words of these are read as one
    for word in itertools.product(letters, repeat=4):
        yield partial(sign_up, "new." + "".join(word))


def records() -> Iterator[Callable[[], object]]:
    """Batches of finished calls, as the shipper sends them."""
    from voip_portal.calls.tasks import store_records

    for batch in itertools.count():
        first = batch * LINES_PER_BATCH + 1
        lines = list(itertools.islice(lines_of_calls(first), LINES_PER_BATCH))
        yield partial(store_records, "load-0-1", first, lines)


def lines_of_calls(first: int) -> Iterator[str]:
    """Records of calls of two seconds, numbered from `first`."""
    numbers = itertools.count(first)
    while True:
        n = next(numbers)
        context = f"{n:016x}".translate(str.maketrans("0189", "wxyz"))
        at = time.time() - A_LONG_TIME_S
        begin = {"call_id": f"load{n}", "from": "sip:a@x", "to": "sip:b@x", "dialled": "b"}
        end = {"cause": "completed", "by": "caller", "status": 200, "reason": ""}
        for number, kind, later, fields in (
            (n, "call.begin", 0, {**begin, "caller_line": 1, "callee_line": 2, "node": "load"}),
            (next(numbers), "call.answer", 1, {"callee_line": 2, "tag": "t"}),
            (next(numbers), "call.end", 3, {**end, "ring_s": 1, "duration_s": 2}),
        ):
            yield json.dumps({"n": number, "k": kind, "c": context, "t": at + later, **fields})


def retention() -> Iterator[Callable[[], object]]:
    """The daily task, over and over."""
    from voip_portal.calls.retention import forget_old

    while True:
        yield forget_old


if __name__ == "__main__":
    main()
