"""A mail server that keeps what it is given, in the place where `tests.support.browser` looks for it."""

from __future__ import annotations

import itertools
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_number = itertools.count(1)


class _Session(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as Django's client speaks."""

    folder: Path

    def handle(self) -> None:
        self._say("220 campus mail")
        while line := self.rfile.readline():
            command = line[:4].upper()
            if command == b"DATA":
                self._say("354 go on")
                self._keep(self._text())
            self._say("221 bye" if command == b"QUIT" else "250 ok")
            if command == b"QUIT":
                return

    def _text(self) -> bytes:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _keep(self, text: bytes) -> None:
        fresh = self.folder / f"{next(_number):05}.new"
        fresh.write_bytes(text.replace(b"\r\n", b"\n"))
        fresh.rename(fresh.with_suffix(".log"))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mail_server(host: str, port: int, folder: Path) -> Iterator[None]:
    """Take mails for everybody until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = type("Session", (_Session,), {"folder": folder})
    with _Server((host, port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
