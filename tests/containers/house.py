"""All services of the compose file, run by podman inside a network namespace of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import psycopg
from psycopg.rows import dict_row

from tests.containers import compose
from tests.containers.images import OURS as OURS_IMAGE
from tests.containers.images import PYTHON, environment
from tests.support.campus import children_of, wait_for

HEALTHY_WITHIN_S: Final = 90.0
BACK_WITHIN_S: Final = 60.0
BACKUP: Final = {
    "database.dump": ("postgres", "pg_dump", "-U", "voip", "-Fc", "voip"),
    "sipd.tar": ("sipd", "tar", "-C", "/var/lib/voip", "-c", "tls", "spool"),
    "web.tar": ("web", "tar", "-C", "/var/lib/voip", "-c", "secret_key"),
}
"""File → service, and the command in it that writes the file; as `docs/operations.md` has them."""
OURS: Final = ("web", "worker", "beat", "shipper", "sipd")


def podman(*arguments: str, check: bool = True, timeout: float = 300) -> str:
    """What podman prints; what it complains of is in the error."""
    done = subprocess.run(
        ["podman", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"podman {' '.join(arguments[:3])} …: {done.stderr.strip()}")
    return done.stdout


def _bytes(*arguments: str, stdin: BinaryIO | None = None) -> bytes:
    """As `podman`, where what goes in or comes out is no text."""
    done = subprocess.run(
        ["podman", *arguments],
        env=environment(),
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class House:
    """One project of compose. `settings` are the variables that an operator gives it."""

    def __init__(self, var: Path, settings: Mapping[str, str]) -> None:
        self.var = var
        """For the tests' own files: `mail` below it has what the mail server was given."""
        self.settings = dict(settings)
        self.project = compose.read(settings)
        self.web_port = 8000

    @property
    def services(self) -> dict[str, compose.Service]:
        """As the compose file has them."""
        return dict(self.project["services"])

    # --- compose's commands --------------------------------------------------------------------
    def up(self) -> None:
        """`compose up -d`: each service after what it waits for."""
        podman("network", "create", self.project["name"])
        for name in compose.in_order(self.services):
            self.start(name)

    def start(self, name: str) -> None:
        """A new container of the service, as soon as those that it depends on are ready."""
        for other, wanted in self.services[name].get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                self.wait_until_healthy(other)
            else:
                assert self.exit_code(other) == 0, self.log(other)
        podman("create", *compose.arguments(self.project, name))
        podman("start", self.container(name))

    def recreate(self, name: str) -> None:
        """What `up -d` does with a service whose image is another one: stop it and start anew."""
        self.remove(name)
        self.start(name)

    def remove(self, name: str) -> None:
        """SIGTERM, SIGKILL after the time of grace, and away with it."""
        podman("stop", self.container(name))
        podman("rm", "--force", self.container(name))

    def backup(self, folder: Path) -> None:
        """What `docs/operations.md` says of a backup, while all goes on."""
        for name, (service, *command) in BACKUP.items():
            (folder / name).write_bytes(_bytes("exec", self.container(service), *command))

    def restore(self, folder: Path) -> None:
        """All anew, with what `docs/operations.md` says of a backup in it."""
        self.down()
        podman("network", "create", self.project["name"])
        self.start("postgres")
        self.wait_until_healthy("postgres")
        pg_restore = ("pg_restore", "-U", "voip", "-d", "voip")
        with (folder / "database.dump").open("rb") as file:
            _bytes("exec", "-i", self.container("postgres"), *pg_restore, stdin=file)
        for service in ("sipd", "web"):
            arguments = compose.arguments(self.project, service)[: -len(self._command(service))]
            arguments[arguments.index("--restart") + 1] = "no"
            untar = ("-C", "/var/lib/voip", "-x")
            with (folder / f"{service}.tar").open("rb") as file:
                _bytes("run", "--rm", "-i", "--entrypoint=tar", *arguments, *untar, stdin=file)
        for name in compose.in_order(self.services):
            if name != "postgres":
                self.start(name)

    def _command(self, name: str) -> list[str]:
        return list(self.services[name]["command"])

    def update(self) -> None:
        """`compose up -d` with a new image: `prepare` again, then all others that have that image."""
        self.recreate("prepare")
        for name in OURS:
            self.recreate(name)

    def down(self) -> None:
        """`compose down -v`, whatever state all is in."""
        podman("rm", "--all", "--force", "--time", "2", check=False)
        podman("volume", "rm", "--all", "--force", check=False)
        podman("network", "rm", "--force", self.project["name"], check=False)

    # --- single services -------------------------------------------------------------------------
    def container(self, name: str) -> str:
        return f"{self.project['name']}-{name}"

    def log(self, name: str) -> str:
        """All that the container has said."""
        done = subprocess.run(
            ["podman", "logs", self.container(name)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def state(self, name: str) -> dict[str, Any]:
        loaded = json.loads(podman("inspect", "--format", "{{json .State}}", self.container(name)))
        assert isinstance(loaded, dict)
        return loaded

    def exit_code(self, name: str) -> int:
        """Wait for the end of a container that is to end."""
        return int(podman("wait", self.container(name)))

    def pid(self, name: str) -> int:
        """The first process of the container, as this machine sees it; 0 where there is none."""
        return int(self.state(name)["Pid"])

    def exec(self, name: str, *command: str, check: bool = True) -> str:
        return podman("exec", self.container(name), *command, check=check)

    def run_beside(self, name: str) -> tuple[int, str]:
        """A second container of the service, as by mistake: how it ends, and what it says."""
        arguments = compose.arguments(self.project, name)
        arguments[arguments.index("--name") + 1] += "-2"
        arguments[arguments.index("--restart") + 1] = "no"
        done = subprocess.run(
            ["podman", "run", "--rm", *arguments],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BACK_WITHIN_S,
            check=False,
        )
        return done.returncode, done.stdout

    def healthz(self) -> str:
        """What the web site says of itself; "" where it says nothing."""
        with suppress(OSError):
            return self.page("/healthz").strip()
        return ""

    def page(self, path: str) -> str:
        """A page that nobody needs to log in for; OSError where it is none."""
        url = f"http://127.0.0.1:{self.web_port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    def is_healthy(self, name: str) -> bool:
        """Run its health check once, as Docker does: inside, as the container's user."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        done = subprocess.run(
            ["podman", "exec", self.container(name), *command],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode == 0

    def wait_until_healthy(self, name: str, timeout: float = HEALTHY_WITHIN_S) -> None:
        try:
            wait_for(f"a healthy {name}", lambda: self.is_healthy(name), timeout, 0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log(name)[-3000:]}") from None

    def kill(self, name: str) -> int:
        """SIGKILL from outside, as when the memory runs out; the process that is killed."""
        pid = self.pid(name)
        assert pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_until_back(self, name: str, killed: int) -> None:
        """Until the container has another process, and is healthy."""

        def is_another() -> bool:
            with suppress(AssertionError):
                return self.pid(name) not in (0, killed)
            return False

        wait_for(f"another {name}", is_another, BACK_WITHIN_S, 0.1)
        self.wait_until_healthy(name)

    # --- figures ---------------------------------------------------------------------------------
    def memory_mb(self, name: str) -> list[float]:
        """Memory of each process of the container, shared pages divided (PSS), the first one first."""
        pids = [self.pid(name)]
        for pid in pids:
            pids += children_of(pid)
        return [_pss_mb(pid) for pid in pids]

    def image_mb(self) -> float:
        """Size of our image, without that of Python's."""
        sizes = [
            int(podman("image", "inspect", "--format", "{{.Size}}", image))
            for image in (OURS_IMAGE, PYTHON)
        ]
        return (sizes[0] - sizes[1]) / 1e6

    # --- the database ----------------------------------------------------------------------------
    def query(self, statement: str, *args: object) -> list[Any]:
        """Rows, as an operator reads them: by the port on loopback."""
        password = Path(self.settings["DATABASE_PASSWORD_FILE"]).read_text().strip()
        with psycopg.connect(
            host="127.0.0.1", user="voip", dbname="voip", password=password, row_factory=dict_row
        ) as connection:
            return connection.execute(statement, args).fetchall()

    def call_row(self, call_id: str, timeout: float = 30.0) -> dict[str, Any]:
        """The finished call, as the portal has it."""

        def look() -> dict[str, Any] | None:
            with suppress(psycopg.OperationalError):
                rows = self.query(
                    "SELECT * FROM calls_call WHERE call_id = %s AND NOT open", call_id
                )
                assert len(rows) <= 1, f"{call_id} is there {len(rows)} times"
                return dict(rows[0]) if rows else None
            return None

        return wait_for(f"the record of {call_id}", look, timeout, 0.1)


def _pss_mb(pid: int) -> float:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def wait_s(seconds: float) -> None:
    """An outage lasts so long."""
    time.sleep(seconds)
