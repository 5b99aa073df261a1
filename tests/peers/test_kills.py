"""kill -9 of any process while calls go on: nothing that was acknowledged or said is lost.

The seed of a run is printed; KILL_SEED repeats it. Every round makes calls of several kinds, kills
a process at a moment of the seed's choosing, waits until it is back by itself, and ends the calls.
Afterwards every registration that was answered with 200 must be there, and every call must stand in
the portal once, with the duration that its two phones saw.
"""

from __future__ import annotations

import os
import random
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support import postgresql, redis_server
from tests.support.campus import BATCH, Campus, Line, children_of, is_running, wait_for
from tests.support.postgresql import Cluster
from tests.support.redis_server import RedisServer
from tests.support.ua import Agent, Called, Calling, Dialog, Timeout
from tests.support.wire import Wire, uri_of
from voip_portal.supervisor import gunicorn_conf

pytestmark = pytest.mark.peers

WEB_WORKER: Final = "web worker"
"""One of the processes of the web server that answer requests."""
FEW: Final = ("sipd", "sipd", "shipper", "worker", "web", WEB_WORKER)
ALL: Final = ("sipd", "sipd", "sipd", "shipper", "worker", "web", WEB_WORKER, "beat")
MOMENTS: Final = ("ringing", "before the ACK", "talking", "hanging up")
BACK_WITHIN_S: Final = 30.0
CHILDREN_GONE_WITHIN_S: Final = 5.0
SLACK_S: Final = 0.3
PAIRS: Final = 4
PHONES_OF_A_LINE: Final = 8


@dataclass(slots=True)
class Talk:
    """A call as its phones see it; times are those of the test."""

    calling: Calling
    caller: Agent
    callee: Agent
    called: Called
    at_caller: Dialog | None = None
    at_callee: Dialog | None = None
    answered: float = 0.0
    bye: Wire | None = None
    bye_sent: float = 0.0
    over: float = 0.0
    causes: frozenset[str] = frozenset({"completed"})
    ended_by: str = ""

    @property
    def call_id(self) -> str:
        return self.calling.call_id


class Story:
    """What has been promised to the phones so far, and a source of chance."""

    def __init__(self, campus: Campus, seed: int) -> None:
        self.campus = campus
        self.earlier = self.calls_in_portal()
        self.random = random.Random(seed)
        self.agents: list[Agent] = []
        self.registered: dict[Agent, Line] = {}
        self.removed: dict[Agent, Line] = {}
        self.talks: list[Talk] = []
        self.going_on: list[Talk] = []
        self.spare = [campus.line() for _ in range(12)]
        phones = [self.new_agent(campus.line()) for _ in range(2 * PAIRS)]
        for phone in phones:
            assert phone.register(expires=3600).status == 200
        self.talkers = set(phones)
        self.of_line: dict[int, list[Agent]] = {}
        self.pairs = list(zip(phones[::2], phones[1::2], strict=True))

    def new_agent(self, line: Line) -> Agent:
        agent = self.campus.phone(line)
        self.agents.append(agent)
        self.registered[agent] = line
        return agent

    def close(self) -> None:
        for agent in self.agents:
            agent.close()

    # --- calls ---------------------------------------------------------------------------------
    def ring(self) -> Talk:
        """A new call between phones that are free."""
        busy = {talk.caller for talk in self.going_on}
        caller, callee = self.random.choice([p for p in self.pairs if p[0] not in busy])
        caller.drain(0.01)
        callee.drain(0.01)
        calling = caller.invite(self.campus.uri(callee.user))
        called = callee.ringing(call_id=calling.call_id)
        called.ring()
        calling.expect(180)
        talk = Talk(calling, caller, callee, called)
        self.talks.append(talk)
        self.going_on.append(talk)
        return talk

    def answer(self, talk: Talk) -> None:
        """The called phone is picked up; the ACK is still to come."""
        talk.at_callee = talk.called.answer()
        talk.at_caller = talk.calling.dialog_of(talk.calling.expect(200))
        talk.answered = time.monotonic()

    def acknowledge(self, talk: Talk) -> None:
        """The ACK, again until it arrives: the phone repeats it for every 200 (§13.2.2.4)."""
        assert talk.at_caller is not None
        for _ in range(40):
            talk.at_caller.ack(talk.calling.request)
            with suppress(Timeout):
                talk.callee.expect("ACK", 0.5, call_id=talk.call_id)
                return
        raise Timeout(f"no ACK of {talk.call_id} arrives")

    def talk(self) -> Talk:
        """A call that has been answered and acknowledged."""
        talk = self.ring()
        self.answer(talk)
        self.acknowledge(talk)
        return talk

    def send_bye(self, talk: Talk) -> None:
        """One side hangs up; nobody waits for the answer."""
        talk.ended_by = self.random.choice(("caller", "callee"))
        dialog = talk.at_caller if talk.ended_by == "caller" else talk.at_callee
        assert dialog is not None
        talk.bye_sent = time.monotonic()
        talk.bye = dialog.send("BYE")

    def hang_up(self, talk: Talk) -> None:
        """The BYE, again until it is answered (§17.1.2)."""
        if talk.bye is None:
            self.send_bye(talk)
        assert talk.bye is not None
        own, other = talk.caller, talk.callee
        if talk.ended_by == "callee":
            own, other = other, own
        for _ in range(40):
            with suppress(Timeout):
                other.respond(other.expect("BYE", 0.25, call_id=talk.call_id), 200, "OK")
            for repeat in [m for m in other.repeats if m.method == "BYE"]:
                other.respond(repeat, 200, "OK")
            other.repeats.clear()
            with suppress(Timeout):
                assert own.final(talk.bye, 0.25).status == 200
                break
            own.send(talk.bye)
        else:
            raise Timeout(f"no answer to the BYE of {talk.call_id}")
        talk.over = time.monotonic()
        self.going_on.remove(talk)

    def give_up(self, talk: Talk, *, lost: bool) -> None:
        """A call that still rings: cancelled, or lost with the daemon that held it."""
        self.going_on.remove(talk)
        if lost:
            talk.causes = frozenset({"lost"})
            return
        talk.causes = frozenset({"cancelled"})
        talk.calling.cancel()
        talk.called.cancelled()
        talk.calling.failed(487)

    # --- registrations -------------------------------------------------------------------------
    def send_registers(self) -> list[tuple[Agent, Line, Wire]]:
        """New phones, old ones, and one that leaves: sent, not waited for."""
        sent = []
        leaving = [agent for agent in self.registered if agent not in self.talkers]
        if leaving:
            agent = self.random.choice(leaving)
            line = self.registered.pop(agent)  # until the answer is here, who knows
            sent.append((agent, line, self._authorized_register(agent, expires=0)))
        for line in self.random.sample(self.spare, 4):
            agent = self._one_of(line)
            if all(agent is not other for other, _, _ in sent):
                self.removed.pop(agent, None)
                sent.append((agent, line, self._authorized_register(agent)))
        for agent, _, request in sent:
            agent.send(request)
        return sent

    def _one_of(self, line: Line) -> Agent:
        """A new phone of the line, or an old one: a line may have ten contacts, no more."""
        phones = self.of_line.setdefault(line.id, [])
        if len(phones) < PHONES_OF_A_LINE:
            phones.append(self.campus.phone(line))
            self.agents.append(phones[-1])
            return phones[-1]
        return self.random.choice(phones)

    @staticmethod
    def _authorized_register(agent: Agent, expires: int = 3600) -> Wire:
        request = agent.register_request(expires=expires)
        agent.send(request)
        return agent.authorized(request, agent.response(request, 401))

    def note_answers(self, sent: list[tuple[Agent, Line, Wire]]) -> None:
        """Only what was answered with 200 was promised."""
        for agent, line, request in sent:
            with suppress(Timeout):
                if agent.final(request, 0.05).status == 200:
                    left = request.get("Expires") == "0"
                    (self.removed if left else self.registered)[agent] = line

    # --- killing ---------------------------------------------------------------------------------
    def round(self, victim: str) -> None:
        """Calls, a kill, and the end of the calls."""
        while len(self.going_on) < 2:
            self.talk()
        moment = self.random.choice(MOMENTS)
        special = self.ring()
        if moment != "ringing":
            self.answer(special)
        if moment in ("talking", "hanging up"):
            self.acknowledge(special)
        sent = self.send_registers()
        if moment == "hanging up":
            self.send_bye(special)
        time.sleep(self.random.choice((0.0, 0.002, 0.005, 0.01, 0.02)))  # where in its work
        self.kill(victim)
        self.note_answers(sent)
        self.wait_until_back(victim)
        if moment == "ringing":
            self.give_up(special, lost=victim == "sipd")
        else:
            if moment == "before the ACK":
                self.acknowledge(special)
            self.hang_up(special)
        for talk in [t for t in self.going_on if self.random.random() < 0.5]:
            self.hang_up(talk)

    def kill(self, victim: str) -> None:
        """SIGKILL, by process id."""
        children = self.campus.children()
        if victim == WEB_WORKER:
            pid = self.random.choice(children_of(children["web"]))
        else:
            pid = children[victim]
        os.kill(pid, signal.SIGKILL)
        wait_for("its end", lambda: not is_running(pid), 5, 0.005)

    def wait_until_back(self, victim: str) -> None:
        """Until the supervisor has another, and it answers."""
        if victim != WEB_WORKER:
            wait_for(f"another {victim}", lambda: victim in self.campus.children(), BACK_WITHIN_S)
        if victim == "sipd":
            wait_for("SIP", self.campus._sip_answers, BACK_WITHIN_S, 0.02)
        elif victim in ("web", WEB_WORKER):
            wait_for("the web site", lambda: web_answers(self.campus), BACK_WITHIN_S, 0.1)
            wait_for("all web workers", self.has_all_web_workers, BACK_WITHIN_S)

    def has_all_web_workers(self) -> bool:
        web = self.campus.children()["web"]
        return sum(map(is_running, children_of(web))) == gunicorn_conf.workers

    # --- what must hold ----------------------------------------------------------------------
    def check(self) -> None:
        for talk in list(self.going_on):
            self.hang_up(talk)
        self.check_registrations()
        for talk in self.talks:
            self.check_call(talk)
        begun = self.calls_in_portal() - self.earlier
        assert begun == len(self.talks), f"{begun} calls in the portal, {len(self.talks)} made"

    def calls_in_portal(self) -> int:
        return int(self.campus.query("SELECT count(*) AS n FROM calls_call")[0]["n"])

    def check_registrations(self) -> None:
        listed: dict[int, set[str]] = {}
        for agents, there in ((self.registered, True), (self.removed, False)):
            for agent, line in agents.items():
                if line.id not in listed:
                    response = agent.register(contacts=[], expires=None, call_id="query")
                    assert response.status == 200, response.start
                    listed[line.id] = {uri_of(v) for v in response.values("Contact")}
                found = agent.contact in listed[line.id]
                assert found == there, f"{agent}: {'lost' if there else 'still there'}"

    def check_call(self, talk: Talk) -> None:
        row = self.campus.call_row(talk.call_id, 30)
        assert row["cause"] in talk.causes, f"{row} {talk.causes}"
        if not talk.over:
            assert row["duration_s"] is None, row
            return
        assert row["ended_by"] == talk.ended_by, row
        shortest = talk.bye_sent - talk.answered - SLACK_S
        longest = talk.over - talk.answered + SLACK_S
        assert shortest <= row["duration_s"] <= longest, f"{row} {shortest} {longest}"


def web_answers(campus: Campus) -> bool:
    with suppress(OSError):
        url = f"http://127.0.0.1:{campus.web_port}/healthz"
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    return False


@pytest.fixture(scope="module", params=["embedded", "servers"])
def house(
    prepared: Campus, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Campus]:
    """Everything, under its supervisor: on SQLite and files, and on PostgreSQL and Redis.

    One for all tests here: each ends with the house whole, and starts with lines of its own.
    """
    var = tmp_path_factory.mktemp("house")
    with ExitStack() as stack:
        if request.param == "embedded":
            campus = prepared.copy(var)
        else:
            if postgresql.binaries() is None or not redis_server.is_installed():
                pytest.skip("needs PostgreSQL and Redis")
            database, redis = stack.enter_context(Cluster()), stack.enter_context(RedisServer())
            settings = {"DATABASE_URL": database.url, "REDIS_URL": redis.url}
            campus = Campus.new(var, lines=BATCH, settings=settings)
        yield stack.enter_context(campus.start_all())


def run(campus: Campus, victims: list[str], seed: int) -> None:
    story = Story(campus, seed)
    try:
        for number, victim in enumerate(victims):
            print(f"kill {number + 1}: {victim}")  # noqa: T201
            story.round(victim)
        story.check()
    finally:
        story.close()


def new_seed() -> int:
    """From KILL_SEED, else a new one; printed with a failing test."""
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KILL_SEED={seed}")  # noqa: T201
    return seed


def test_five_kills_lose_nothing(house: Campus) -> None:
    seed = new_seed()
    run(house, random.Random(seed).sample(FEW, 5), seed)


@pytest.mark.long
def test_hundred_kills_lose_nothing(house: Campus) -> None:
    seed = new_seed()
    run(house, random.Random(seed).choices(ALL, k=100), seed)


def test_killed_supervisor_takes_all_along_and_the_next_start_is_whole(house: Campus) -> None:
    seed = new_seed()
    story = Story(house, seed)
    try:
        story.talk()
        lost = story.ring()
        children = house.children()
        assert set(children) >= {"sipd", "web", "shipper", "worker", "beat"}
        web_workers = children_of(children["web"])
        assert len(web_workers) == gunicorn_conf.workers
        assert house.supervisor is not None
        os.kill(house.supervisor.pid, signal.SIGKILL)
        wait_for(
            "the end of all processes",
            lambda: not any(is_running(pid) for pid in (*children.values(), *web_workers)),
            CHILDREN_GONE_WITHIN_S,
        )
        house.forget()
        house.start_all()
        assert web_answers(house)
        story.give_up(lost, lost=True)
        story.check()
    finally:
        story.close()
