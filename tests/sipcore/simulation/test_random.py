"""Random user agents, losses, crashes and directory changes, each run replayed from its seed.

`SIM_SEEDS` says how many seeds are run (200; `make test-long`: 10,000). One that fails says how to
replay it: `SIM_SEED=17 pytest tests/sipcore/simulation/test_random.py`.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sipcore.directory import AccountState
from sipcore.eventlog import Kind
from sipcore.transport.memory import Conditions
from tests.sipcore.simulation.phone import (
    Answer,
    Outgoing,
    Phone,
    answer_after,
    answer_at_once,
    refuse_with,
    ring_forever,
    silent,
)
from tests.sipcore.simulation.world import SIZES, Size, World, make_directory

FILE = "tests/sipcore/simulation/test_random.py"
KILLS_FROM = 1_000_000
NAMES = ["anna", "bob", "clara", "david"]
BUSY_S = 120.0


def scripts(random: Random) -> Answer:
    return random.choice(
        [
            answer_at_once,
            answer_after(random.uniform(0.1, 8)),
            refuse_with(486, random.uniform(0, 4)),
            refuse_with(603),
            refuse_with(404),
            ring_forever,
            silent,
        ]
    )


class Chaos:
    """Everybody does something at random moments."""

    def __init__(self, seed: int, size: Size, *, kills: bool) -> None:
        self.random = random = Random(seed)
        conditions = Conditions(
            loss=random.choice([0.0, 0.02, 0.08]),
            duplication=random.choice([0.0, 0.05]),
            max_delay_s=random.choice([0.02, 0.2]),
        )
        self.world = World(seed, size, NAMES, conditions)
        self.phones = [
            Phone(self.world, name, (f"10.1.{i}.{j}", 5060))
            for i, name in enumerate(NAMES)
            for j in range(random.choice([1, 1, 2, 3]))
        ]
        self.outgoing: list[Outgoing] = []
        for phone in self.phones:
            phone.on_invite = scripts(random)
            phone.register()
        for _ in range(random.randrange(5, 25)):
            self.later(self.act)
        if kills:
            for _ in range(random.randrange(1, 4)):
                self.later(self.kill)

    def later(self, action: object) -> None:
        when = self.random.uniform(3.0, BUSY_S)
        self.world.network.at_time(when, lambda now: action())  # type: ignore[operator]

    def act(self) -> None:
        phone = self.random.choice(self.phones)
        friend = self.random.choice([*NAMES, "nobody", "1000", "echo"])
        choice = self.random.randrange(8)
        if choice <= 2:
            self.place_call(phone, friend)
        elif choice == 3:
            self.outgoing.append(phone.message(friend, b"hi"))
        elif choice == 4:
            self.outgoing.append(phone.register())
        elif choice == 5:
            phone.on_invite = scripts(self.random)
        elif choice == 6:
            phone.dialogs.clear()  # restarted: it knows of no call any more
        else:
            self.change_somebody()

    def place_call(self, phone: Phone, friend: str) -> None:
        call = phone.call(friend)
        self.outgoing.append(call)
        end = self.random.uniform(0.05, 30)

        def finish(now: float) -> None:
            if call.dialogs and self.random.random() < 0.2:
                for dialog in call.dialogs.values():
                    self.outgoing.append(phone.reinvite(dialog))
            if not call.status:
                phone.cancel(call)
            for dialog in call.dialogs.values():
                phone.hang_up(dialog)

        self.world.network.after(end, finish)

    def change_somebody(self) -> None:
        """Suspend an account and end its calls, or revoke its devices; a moment later all is back."""
        world = self.world
        version = world.directory.version + 1
        victim = self.random.choice(list(world.directory.accounts()))
        if self.random.random() < 0.5:
            gone = replace(victim, state=AccountState.SUSPENDED, end_calls=True)
        else:
            gone = replace(victim, devices=())
        changed = world.directory.changed(version=version, accounts=[gone])
        world.change_directory(changed, [victim.id])
        back = make_directory(NAMES, version + 1)
        world.network.after(5.0, lambda now: world.change_directory(back, [victim.id]))

    def kill(self) -> None:
        node = self.random.choice(self.world.nodes)
        slot = self.random.randrange(len(node.slots))
        if node.slots[slot].worker is not None:
            node.kill_worker(slot, self.random.uniform(0.05, 1.0))

    def hang_up_everything(self) -> None:
        for phone in self.phones:
            for dialog in list(phone.dialogs.values()):
                phone.hang_up(dialog)

    def run(self) -> None:
        """Let it happen, then let everything come to rest, then look."""
        world = self.world
        world.run(BUSY_S + 40)
        self.hang_up_everything()
        world.run(300)
        self.hang_up_everything()
        world.run(700)
        for outgoing in self.outgoing:
            if world.kills and outgoing.request.method == "INVITE" and outgoing.responses:
                # The open transactions of a killed worker end with it (DESIGN: When something
                # fails); a caller that had heard ringing must give up by itself.
                continue
            if outgoing.cancelled and not outgoing.finals:
                continue  # 64*T1 after its CANCEL a caller is done by itself (RFC 3261 §9.1)
            assert outgoing.status, f"{world}: {outgoing.request!r} never got a final response"
            if outgoing.request.method != "INVITE":
                assert len(outgoing.finals) <= 1, f"{world}: {outgoing.request!r} got two finals"
        self.check_headers()
        self.check_answers()
        world.check_calls()
        world.check_nothing_left()

    @property
    def answered(self) -> set[tuple[str, str]]:
        """Call-ID and tag of each 2xx that a phone gave to an INVITE."""
        return {key for phone in self.phones for key in phone.accepted}

    def check_answers(self) -> None:
        """Who has heard an answer finds it in the records; who has given none does not.

        An answer that comes when the call is over has no record: its phones are told to hang up.
        """
        begun = {r.context: r.fields for r in self.world.records_of(Kind.CALL_BEGIN)}
        answers = self.world.records_of(Kind.CALL_ANSWER)
        recorded = {(begun[r.context]["call_id"], r.fields["tag"]) for r in answers}
        heard = {
            (outgoing.request.call_id, tag)
            for outgoing in self.outgoing
            if not outgoing.request.to_tag
            for tag in outgoing.dialogs
        }
        echoed = {f["call_id"] for f in begun.values() if f["to"].startswith("sip:echo@")}
        lost = heard - recorded - self.hung_up_by_us
        assert not lost, f"{self.world}: answers without a record: {lost}"
        invented = {key for key in recorded - self.answered if key[0] not in echoed}
        assert not invented, f"{self.world}: nobody has answered {invented}"

    @property
    def hung_up_by_us(self) -> set[tuple[str, str]]:
        """Call-ID and tag of the answers whose callers the service has told to hang up."""
        byes = [r for p in self.phones for r in p.received if r.method == "BYE" and r.has("reason")]
        return {(bye.call_id, bye.from_tag) for bye in byes}

    def check_headers(self) -> None:
        """What the proxy does not understand reaches the other side as it is, both ways."""
        sent = {o.request.call_id: o.request for o in self.outgoing if not o.request.to_tag}
        for phone in self.phones:
            for request in phone.received:
                original = sent.get(request.call_id)
                if original is None or request.to_tag or request.method != original.method:
                    continue  # of a service of ours, inside a call, or a CANCEL
                for name in ("x-trace", "supported"):
                    there, here = original.rows(name), request.rows(name)
                    assert here == there, f"{self.world}: {request!r}: {name} {there} became {here}"
        for outgoing in self.outgoing:
            for response in outgoing.finals:
                if (outgoing.request.call_id, response.to_tag) in self.answered:
                    there, here = outgoing.request.rows("x-trace"), response.rows("x-trace")
                    assert here == there, f"{self.world}: {response!r}: {there} became {here}"


def try_seed(seed: int, size: Size, *, kills: bool) -> None:
    """One run; a failure says how to see it again."""
    try:
        Chaos(seed + KILLS_FROM if kills else seed, size, kills=kills).run()
    except BaseException as error:
        error.add_note(
            f"Replay: SIM_SEED={seed} pytest {FILE} -k '{'killed' if kills else 'answered'}'"
        )
        raise


@settings(max_examples=25, deadline=None)
@example(2_629_121, SIZES[0], True)  # a phone answers when the call is over
@given(st.integers(2_000_000, 3_000_000), st.sampled_from(SIZES), st.booleans())
def test_hypothesis_finds_no_seed_that_breaks_an_invariant(
    seed: int, size: Size, kills: bool
) -> None:
    Chaos(seed, size, kills=kills).run()


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
def test_whatever_happens_every_request_is_answered_and_nothing_is_left(
    size: Size, seed: int
) -> None:
    try_seed(seed, size, kills=False)


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
def test_whoever_is_killed_calls_are_recorded_and_nothing_is_left(size: Size, seed: int) -> None:
    try_seed(seed, size, kills=True)


def try_seeds(first: int) -> int:
    """A hundred seeds, each in all its ways; how many runs that were."""
    runs = [(seed, size, kills) for seed in range(first, first + 100) for size in SIZES for kills in (False, True)]
    for seed, size, kills in runs:
        try_seed(seed, size, kills=kills)
    return len(runs)


@pytest.mark.long
def test_ten_thousand_seeds() -> None:
    """On all cores, beginning where the quick run ends."""
    starts = range(200, 10_200, 100)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        assert sum(pool.map(try_seeds, starts)) == 10_000 * 2 * len(SIZES)
