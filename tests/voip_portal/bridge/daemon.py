"""A deployment in a folder of its own with a real `manage.py sipd`, and a phone that registers."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.support.ports import free_port
from voip_portal.bridge.database import Database

ROOT = Path(__file__).resolve().parents[3]
START_S = 60.0
"""A busy machine takes its time to start Python; nothing that is promised is measured by this."""


class Deployment:
    """Folder, database and environment of one service."""

    def __init__(self, folder: Path, server: str | None = None) -> None:
        self.folder = folder
        self.port = free_port(2)  # the next one is for TLS
        self.environment = os.environ | {
            "VOIP_VAR": str(folder),
            "VOIP_SIP_PORT": str(self.port),
            "VOIP_CAMPUS_DOMAINS": "campus.example",
        }
        self.driver: dict[str, Any] = {"engine": "sqlite", "path": str(folder / "portal.sqlite3")}
        self._server = os.environ.get("DATABASE_URL", "") if server is None else server
        if self._server:
            self._make_database()
        self.manage("migrate", "--verbosity", "0")
        if not self._server:
            self.manage("migrate", "--verbosity", "0", "--database", "bindings")
        self.manage("first_start")
        self.database = Database(self.driver)

    def _make_database(self) -> None:
        name = f"deployment_{os.getpid()}_{self.port}"
        server = Database({"engine": "postgresql", "dsn": self._server})
        server.execute(f"CREATE DATABASE {name}")
        server.close()
        url = urlunsplit(urlsplit(self._server)._replace(path=f"/{name}"))
        self.environment["DATABASE_URL"] = url
        self.driver = {"engine": "postgresql", "dsn": url}

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(  # noqa: S603
            command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a management command that runs until it is told to stop."""
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment
        )

    def start_sipd(self) -> subprocess.Popen[bytes]:
        """Start a node at a port that is free now, and wait until it answers."""
        self.port = free_port(2)  # the next one is for TLS
        process = self.start("sipd", "--port", str(self.port))
        phone = Phone(self.port)

        def answers() -> bool:
            assert process.poll() is None, "sipd has ended"
            return status(phone.ask("OPTIONS", "sip:campus.example", "x")) == 200

        try:
            until(answers, START_S)
        except BaseException:
            stop(process)
            raise
        finally:
            phone.close()
        return process

    def close(self) -> None:
        self.database.close()

    def add_line(self, username: str, password: str, number: str) -> int:
        """A line with a device and two addresses, by SQL as from a shell; the line's id."""
        db = self.database
        realm = db.query("SELECT realm FROM nodes_deployment")[0][0]
        domain = db.query("SELECT id FROM numbers_domain WHERE is_default")[0][0]
        now = db.query("SELECT CURRENT_TIMESTAMP")[0][0]
        pair = f"{username}:{realm}:{password}".encode()
        with db.transaction():
            line = int(
                db.query(
                    "INSERT INTO lines_line (username, skeleton, label, class_of_service, state,"
                    " end_calls, created_at) VALUES (?, ?, '', 'student', 'active', ?, ?)"
                    " RETURNING id",
                    (username, username, False, now),
                )[0][0]
            )
            device = int(
                db.query(
                    "INSERT INTO lines_device (line_id, label, created_at)"
                    " VALUES (?, 'phone', ?) RETURNING id",
                    (line, now),
                )[0][0]
            )
            db.execute(
                "INSERT INTO lines_devicesecret (id, ha1_md5, ha1_sha256) VALUES (?, ?, ?)",
                (device, hashlib.md5(pair).hexdigest(), hashlib.sha256(pair).hexdigest()),  # noqa: S324
            )
            for kind, value in (("name", username), ("number", number)):
                db.execute(
                    "INSERT INTO numbers_address (domain_id, kind, value, line_id, state)"
                    " VALUES (?, ?, ?, ?, 'held')",
                    (domain, kind, value, line),
                )
        return line

    def version(self) -> int:
        return int(self.database.query("SELECT MAX(version) FROM changes_change")[0][0])

    def in_force(self) -> int:
        rows = self.database.query("SELECT directory_version FROM nodes_node WHERE name = 'node1'")
        return int(rows[0][0]) if rows else -1


class Phone:
    """Registers over UDP and asks with OPTIONS; blocking, one question at a time."""

    def __init__(self, port: int, patience_s: float = 0.5) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(patience_s)
        self._count = 0

    def close(self) -> None:
        self._socket.close()

    def ask(self, method: str, uri: str, user: str, extra: str = "") -> str:
        """One request; the final response, or an empty text when none came."""
        self._count += 1
        host, port = self._socket.getsockname()
        text = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{port}-"
            f"{self._count}-{time.monotonic_ns()}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{user}@campus.example>;tag=t{port}\r\n"
            f"To: <sip:{user}@campus.example>\r\nCall-ID: call-{port}\r\n"
            f"CSeq: {self._count} {method}\r\n{extra}Content-Length: 0\r\n\r\n"
        )
        try:
            self._socket.send(text.encode())
            while True:
                answer = self._socket.recv(65535).decode()
                if not answer.startswith("SIP/2.0 1"):
                    return answer
        except (TimeoutError, ConnectionRefusedError):
            return ""

    def register(self, user: str, password: str, expires: int = 3600) -> int:
        """Register with digest MD5; the final status, 0 for none."""
        return status(self.register_answer(user, password, expires))

    def register_answer(self, user: str, password: str, expires: int = 3600) -> str:
        """As `register`; the whole answer, "" for none."""
        uri = "sip:campus.example"
        host, port = self._socket.getsockname()
        contact = f"Contact: <sip:{user}@{host}:{port}>\r\nExpires: {expires}\r\n"
        answer = self.ask("REGISTER", uri, user, contact)
        if status(answer) == 401:
            credentials = digest(challenge(answer), user, password, "REGISTER", uri)
            answer = self.ask("REGISTER", uri, user, f"{contact}Authorization: {credentials}\r\n")
        return answer


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1]) if answer else 0


def challenge(answer: str) -> dict[str, str]:
    """The MD5 challenge of a 401."""
    for row in answer.split("\r\n"):
        if row.startswith("WWW-Authenticate: Digest ") and "SHA-256" not in row:
            pairs = (part.split("=", 1) for part in row.partition("Digest ")[2].split(","))
            return {name.strip(): value.strip().strip('"') for name, value in pairs}
    raise AssertionError(f"no MD5 challenge in {answer}")


def digest(asked: dict[str, str], user: str, password: str, method: str, uri: str) -> str:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324

    ha1, ha2 = md5(f"{user}:{asked['realm']}:{password}"), md5(f"{method}:{uri}")
    response = md5(f"{ha1}:{asked['nonce']}:00000001:abc:auth:{ha2}")
    return (
        f'Digest username="{user}", realm="{asked["realm"]}", nonce="{asked["nonce"]}", uri="{uri}",'
        f' qop=auth, nc=00000001, cnonce="abc", response="{response}", algorithm=MD5'
    )


def until(happened: Callable[[], bool], within_s: float) -> float:
    """Wait for something in another process; the seconds it took."""
    start = time.monotonic()
    while not happened():
        took = time.monotonic() - start
        assert took < within_s, f"did not happen within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - start


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
