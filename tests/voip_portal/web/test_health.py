"""Health's listener outlives a lack of files."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from voip_portal.web import health


class WithoutFiles(socket.socket):
    """Its first accept finds no file free."""

    failed = False

    def accept(self) -> tuple[socket.socket, Any]:
        if not self.failed:
            self.failed = True
            raise OSError(24, "Too many open files")
        return super().accept()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_health_is_answered_again_after_files_ran_out() -> None:
    listener = WithoutFiles()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    arguments = (listener, lambda: True, None)
    threading.Thread(target=health._answer_all, args=arguments, daemon=True).start()
    with socket.create_connection(listener.getsockname(), timeout=5) as client:
        client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200")
