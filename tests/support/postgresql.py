"""A temporary PostgreSQL server from Debian's binaries, for tests and nothing else.

    python -m tests.support.postgresql -- COMMAND ARGUMENT…

starts a cluster in a folder of its own, sets DATABASE_URL to an empty database in it, runs the
command, stops the cluster, removes the folder and exits as the command did. `make test` runs the
suite twice: everything on SQLite, then what touches SQL once more here:

    python -m pytest
    python -m tests.support.postgresql -- python -m pytest -m sql

The marker `sql` is given by `tests/conftest.py` to every test that asks for a database. As root the
server runs as the user `postgres` (it refuses root), otherwise as whoever calls. It listens on
loopback only, at a port that was free, and never syncs to disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.support.ports import free_port

DATABASE = "voip"
_FOLDERS = (Path("/usr/lib/postgresql/15/bin"), Path("/usr/lib/postgresql/16/bin"))
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60")


def binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, or None when PostgreSQL is not installed."""
    for folder in _FOLDERS:
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


class Cluster:
    """One server with a data folder of its own; a context manager."""

    def __init__(self) -> None:
        folder = binaries()
        if folder is None:
            raise FileNotFoundError("PostgreSQL is not installed: apt install postgresql")
        self._binaries = folder
        self._folder = Path(tempfile.mkdtemp(prefix="voip-postgresql-"))
        self.port = free_port()
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
            self._prefix = ["runuser", "-u", "postgres", "--"]

    @property
    def url(self) -> str:
        """What DATABASE_URL should say."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()
        self.remove()

    def _start(self) -> None:
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", DATABASE)

    def start(self) -> None:
        """Start the server; also after `stop`, with the same data and port."""
        options = [f"-p {self.port}", f"-k {self._folder}", "-c listen_addresses=127.0.0.1"]
        options += [f"-c {option}" for option in _OPTIONS]
        self._control("-w", "-l", str(self._folder / "log"), "-o", " ".join(options), "start")

    def stop(self, *, mode: str = "fast") -> None:
        """Stop the server; `immediate` ends it as a crash would."""
        self._control("-w", "-m", mode, "stop", check=False)

    def remove(self) -> None:
        """Delete all files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def demand_tls(self, certificate: bytes, password: str) -> None:
        """From now on: TLS with this certificate and key, and a password, or no connection."""
        data = self._folder / "data"
        sql = f"ALTER USER postgres PASSWORD '{password}'"
        self._run("psql", "-d", self.url, "-c", sql)
        for name in ("server.crt", "server.key"):
            (data / name).write_bytes(certificate)
            (data / name).chmod(0o600)
            if self._prefix:
                shutil.chown(data / name, "postgres", "postgres")
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        (data / "postgresql.auto.conf").write_text("ssl = on\n")
        self._control("-w", "restart")

    def _control(self, *arguments: str, check: bool = True) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), *arguments, check=check)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [*self._prefix, str(self._binaries / program), *arguments]
        # A file, not a pipe: the server inherits it and would keep a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if check and done.returncode:
                output.seek(0)
                raise RuntimeError(f"{program}: {output.read().decode(errors='replace')}")


def run(command: Sequence[str]) -> int:
    """Run a command against a cluster of its own; its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Cluster() as cluster:
        environment = os.environ | {"DATABASE_URL": cluster.url}
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603


def main(arguments: Sequence[str]) -> int:
    """Entry point."""
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        sys.stderr.write("usage: python -m tests.support.postgresql -- COMMAND ARGUMENT…\n")
        return 2
    return run(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
