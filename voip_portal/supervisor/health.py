"""Asking a process whether it is ready. Each check is quick and answers yes or no."""

from __future__ import annotations

import http.client
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

HealthCheck = Callable[[], bool]
TIMEOUT_S = 0.5


def web_answers(host: str, port: int, path: str = "/healthz") -> HealthCheck:
    """GET gives 200."""

    def check() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def web_says(port_file: Path, path: str) -> HealthCheck:
    """GET gives 200 on the health listener, whose port the web server writes to a file."""

    def check() -> bool:
        try:
            port = int(port_file.read_text())
        except (OSError, ValueError):
            return False
        return web_answers("127.0.0.1", port, path)()

    return check


def sip_answers(host: str, port: int) -> HealthCheck:
    """OPTIONS over UDP gets a final response from the server itself (RFC 3261 §11)."""

    def check() -> bool:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.settimeout(TIMEOUT_S)
                client.connect((host, port))
                client.send(options_request(host, port, client.getsockname()))
                return client.recv(65535).startswith((b"SIP/2.0 200 ", b"SIP/2.0 4"))
        except OSError:
            return False

    return check


def options_request(host: str, port: int, local: tuple[str, int]) -> bytes:
    """OPTIONS for the server at host and port."""
    server, here = bracketed(host), f"{bracketed(local[0])}:{local[1]}"
    word = secrets.token_hex(8)
    lines = (
        f"OPTIONS sip:{server}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {here};rport;branch=z9hG4bK{word}",
        "Max-Forwards: 0",
        f"From: <sip:supervisor@{here}>;tag={word}",
        f"To: <sip:{server}:{port}>",
        f"Call-ID: {word}@supervisor",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def bracketed(host: str) -> str:
    """An address as it stands in a URI."""
    return f"[{host}]" if ":" in host else host


def file_appears(path: Path) -> HealthCheck:
    """The process has written its health file; the supervisor removes it before each start."""
    return path.exists
