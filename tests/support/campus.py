"""A whole deployment in a folder of its own, on free ports: the daemon alone, or everything.

The daemon alone (`Campus.start_sipd`) starts in about a second and leaves its records in the spool,
where `record_of` reads them. `Campus.start_all` is what `make run` runs: the supervisor with web
server, daemon, shipper, Celery worker and beat; there `call_row` reads what came of the records.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg.rows import dict_row

from tests.support.ports import free_port
from tests.support.ua import Agent
from tests.support.wire import bracketed
from voip_portal.calls.fold import Event, fold

ROOT: Final = Path(__file__).resolve().parents[2]
AUTHORITY_FILE: Final = "tls/authority/campus-ca.pem"
START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 15.0
BATCH: Final = 60
"""Lines that are made at a time when the tests have used up all others."""
_OF_A_DEPLOYMENT: Final = ("VOIP_", "DATABASE_", "REDIS_", "SECRET_KEY", "EMAIL_", "LAN")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its first device."""

    id: int
    username: str
    number: str
    device: int
    secret: str


def wait_for(
    what: str, probe: Callable[[], _T | None], timeout: float = 5.0, interval: float = 0.02
) -> _T:
    """Ask until the answer is neither None nor False."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found is not None and found is not False:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(interval)


class Campus:
    """One deployment. Make it with `Campus.new` or as a copy of another that is not running.

    `settings` are environment variables of its processes: DATABASE_URL, REDIS_URL, …
    """

    def __init__(self, var: Path, settings: Mapping[str, str] | None = None) -> None:
        self.var = var
        self.settings = dict(settings or {})
        self.sip_port = free_port(2)
        self.tls_port = self.sip_port + 1
        self.web_port = free_port()
        self.lines: list[Line] = []
        self._free: list[Line] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self.supervisor: subprocess.Popen[bytes] | None = None

    @classmethod
    def new(cls, var: Path, *, lines: int, settings: Mapping[str, str] | None = None) -> Campus:
        """Fresh databases with so many lines."""
        campus = cls(var, settings)
        campus._make_more(lines, migrate=True)
        return campus

    def copy(self, var: Path, settings: Mapping[str, str] | None = None) -> Campus:
        """The same databases in another folder, on other ports."""
        shutil.copytree(self.var, var, dirs_exist_ok=True)
        campus = Campus(var, settings)
        campus.lines = list(self.lines)
        campus._free = list(self.lines)
        return campus

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- lines -------------------------------------------------------------------------------
    def make_lines(self, names: Iterable[str], *, migrate: bool = False) -> list[Line]:
        """Lines with a device each, made through the portal's services."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.campus_setup"],
            input=json.dumps({"migrate": migrate, "lines": list(names)}).encode(),
            capture_output=True,
            env=self.environment(),
            cwd=ROOT,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()
        made = [Line(**row) for row in json.loads(done.stdout)]
        self.lines += made
        self._free += made
        return made

    def _make_more(self, count: int, *, migrate: bool = False) -> None:
        """Lines with names of letters that nobody confuses: the portal refuses names that are alike."""
        letters = itertools.chain(
            itertools.product("abcdefghkmnpqrtvwx", repeat=2), itertools.product("abdeghkpqtx", repeat=3)
        )
        names = ("".join(("tester.", *some)) for some in letters)
        taken = {line.username for line in self.lines}
        wanted = itertools.islice((name for name in names if name not in taken), count)
        self.make_lines(wanted, migrate=migrate)

    def line(self) -> Line:
        """A line that no other test uses."""
        if not self._free:
            self._make_more(BATCH)
            with self.phone(self._free.pop()) as probe:
                wait_for("the new lines in force", lambda: probe.register().status == 200)
        return self._free.pop()

    def phone(
        self,
        line: Line | None = None,
        *,
        transport: str = "UDP",
        algorithm: str = "SHA-256",
        host: str = "127.0.0.1",
        scheme: str = "sip",
        sends_from: str = "",
    ) -> Agent:
        """A scripted user agent with the secret of a line, not registered yet.

        `sends_from`: the address that it sends datagrams from, "" for the loopback.
        """
        line = line or self.line()
        return Agent(
            (host, self.tls_port if transport == "TLS" else self.sip_port),
            line.username,
            line.secret,
            transport=transport,
            algorithm=algorithm,
            scheme=scheme,
            authority=self.authority,
            sends_from=sends_from,
        )

    @property
    def authority(self) -> Path:
        """The certificate that students install in their phones."""
        return self.var / AUTHORITY_FILE

    def uri(self, user: str, host: str = "127.0.0.1") -> str:
        """How a phone of this deployment dials somebody."""
        return f"sip:{user}@{bracketed(host)}:{self.sip_port}"

    # --- processes ---------------------------------------------------------------------------
    def environment(self) -> dict[str, str]:
        """What its processes see: nothing of the deployment that runs the tests."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(_OF_A_DEPLOYMENT)}
        return {
            **own,
            "DJANGO_SETTINGS_MODULE": "voip_portal.settings",
            "VOIP_VAR": str(self.var),
            "VOIP_SIP_PORT": str(self.sip_port),
            "VOIP_WEB_PORT": str(self.web_port),
            **self.settings,
        }

    def start_sipd(self) -> Self:
        """The daemon alone, ready to answer."""
        self._processes.append(self._spawn("sipd", ["manage.py", "sipd"]))
        self.wait_for_sip()
        return self

    def start_all(self) -> Self:
        """Everything, as `make run` does."""
        self.supervisor = self._spawn("supervisor", ["-m", "voip_portal.supervisor"])
        self._processes.append(self.supervisor)
        wait_for("the supervisor's Ready", self._all_ready, START_WITHIN_S, 0.1)
        return self

    def _all_ready(self) -> bool:
        assert self.supervisor is not None
        assert self.supervisor.poll() is None, self.log("supervisor")
        return "\nReady.\n" in self.log("supervisor")

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        (self.var / "log").mkdir(mode=0o700, exist_ok=True)
        with (self.var / "log" / f"{name}.out").open("wb") as out:
            return subprocess.Popen(  # noqa: S603
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=ROOT,
                process_group=0,
            )

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.var / "log" / f"{name}.out").read_text(errors="replace")

    def wait_for_sip(self, timeout: float = START_WITHIN_S) -> None:
        """Until the daemon answers OPTIONS."""
        wait_for("an answer to OPTIONS", self._sip_answers, timeout, 0.05)

    def _sip_answers(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, f"ended: {self._logs()}"
        host = self.settings.get("VOIP_ADVERTISE", "127.0.0.1")
        with Agent((host, self.sip_port), "probe") as probe, suppress(AssertionError):
            options = probe.request("OPTIONS", f"sip:{host}:{self.sip_port}")
            probe.send(options)
            return probe.final(options, 0.2).status == 200
        return False

    def _logs(self) -> str:
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-4000:]}"
            for path in sorted((self.var / "log").iterdir())
        )

    def children(self) -> dict[str, int]:
        """The supervisor's processes by name."""
        assert self.supervisor is not None
        found = {}
        for pid in children_of(self.supervisor.pid):
            name = name_of(command_of(pid))
            if name:
                found[name] = pid
        return found

    def kill(self) -> None:
        """SIGKILL for the daemon that runs alone."""
        process = self._processes.pop()
        process.kill()
        process.wait()

    def forget(self) -> None:
        """The supervisor was killed: bury it."""
        for process in self._processes:
            process.wait(STOP_WITHIN_S)
        self._processes.clear()

    def stop(self) -> None:
        """Stop everything, politely first; the logs stay."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    # --- what it wrote -----------------------------------------------------------------------
    def records(self) -> Iterator[dict[str, Any]]:
        """All records of the spool, oldest first."""
        for path in sorted(self.var.glob("spool/*/*.jsonl")):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError):  # the last line is being written
                    yield json.loads(line)

    def record_of(self, call_id: str, timeout: float = 5.0) -> dict[str, Any]:
        """The finished call with this Call-ID, folded from its records as the portal does it.

        Waits for its end. The kinds of its records, in order, are under "kinds".
        """
        return wait_for(f"the record of {call_id}", lambda: self._finished(call_id), timeout)

    def _finished(self, call_id: str) -> dict[str, Any] | None:
        records = [r for r in self.records() if r["k"].startswith("call.")]
        contexts = {r["c"] for r in records if r.get("call_id") == call_id}
        assert len(contexts) <= 1, f"{call_id} has {len(contexts)} records"
        mine = [r for r in records if r["c"] in contexts]
        if not any(r["k"] == "call.end" for r in mine):
            return None
        (context,) = contexts
        row = fold(context, [Event(r["k"], r["t"], r) for r in mine])
        assert row is not None
        return {**row, "kinds": [r["k"] for r in mine]}

    def begun(self, call_id: str) -> bool:
        """Whether a call with this Call-ID has a record."""
        return any(r.get("call_id") == call_id for r in self.records())

    def query(self, statement: str, *args: object, database: str = "portal") -> list[Any]:
        """Read the deployment's database beside its processes; rows are read by column name.

        `database` chooses between the two files of a deployment on SQLite.
        """
        if "DATABASE_URL" in self.settings:
            return self._query_postgresql(statement, args)
        with closing(sqlite3.connect(self.var / f"{database}.sqlite3", timeout=20)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(statement, args).fetchall()
            connection.commit()
            return rows

    def _query_postgresql(self, statement: str, args: tuple[object, ...]) -> list[Any]:
        url = self.settings["DATABASE_URL"]
        with psycopg.connect(url, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.replace("?", "%s"), args)
            return cursor.fetchall() if cursor.description else []

    def call_row(self, call_id: str, timeout: float = 5.0) -> dict[str, Any]:
        """The finished call in the portal's table."""

        def look() -> dict[str, Any] | None:
            rows = self.query("SELECT * FROM calls_call WHERE call_id = ? AND NOT open", call_id)
            assert len(rows) <= 1, f"{call_id} is there {len(rows)} times"
            return dict(rows[0]) if rows else None

        return wait_for(f"the row of call {call_id}", look, timeout, 0.1)


def children_of(pid: int) -> list[int]:
    """The processes that this one started; [] when it is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def command_of(pid: int) -> list[str]:
    """A process's command line; [] when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    return []


def name_of(command: list[str]) -> str:
    """Which of our processes this command line is, "" when it is another."""
    for name, word in (
        ("sipd", "voip_portal.bridge.sipd"),
        ("sipd", "sipd"),
        ("web", "gunicorn"),
        ("shipper", "shipper"),
        ("worker", "worker"),
        ("beat", "beat"),
    ):
        if word in command:
            return name
    return ""


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended (a zombie has)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def listens(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    with suppress(OSError), socket.create_connection((host, port), 0.5):
        return True
    return False
