"""Health on a listener of its own: answered by threads of its own, whatever the web's are busy with.

`/livez` is 200 while this process serves pages, or could; the supervisor restarts what does not.
`/healthz` is what the portal says itself under that address, its database among it. The listener is
on loopback only; its port is VOIP_HEALTH_PORT, or one that the kernel gives, written to `run/web.health`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Final

QUESTION_WITHIN_S: Final = 1.0
ANSWER_WITHIN_S: Final = 5.0
"""What asks has mostly gone by then."""
QUESTION_BYTES: Final = 4096
"""More than any health check's request."""
ANSWERS_AT_A_TIME: Final = 16
"""Who asks beyond that waits in the listener's queue."""
AGAIN_AFTER_S: Final = 0.1
"""When there was no file or thread for an answer; there will be."""
PORT_FILE: Final = "web.health"
_listeners: list[socket.socket] = []


def listen(environ: Mapping[str, str]) -> None:
    """Called in the master, once: its processes answer on the same socket."""
    listener = socket.create_server(("127.0.0.1", int(environ.get("VOIP_HEALTH_PORT") or 0)))
    _listeners.append(listener)


def say_port(environ: Mapping[str, str]) -> None:
    """Write the port where the supervisor looks for it."""
    folder = Path(environ.get("VOIP_VAR") or "-") / "run"
    if _listeners and folder.is_dir():
        new = folder / f".{PORT_FILE}.{os.getpid()}"
        new.write_text(str(_listeners[0].getsockname()[1]))
        new.replace(folder / PORT_FILE)


def answer_for(alive: Callable[[], bool], application: Any) -> None:
    """Begin to answer for this process."""
    for listener in _listeners:
        threading.Thread(
            target=_answer_all, args=(listener, alive, application), daemon=True, name="health"
        ).start()
    say_port(os.environ)


def _answer_all(listener: socket.socket, alive: Callable[[], bool], application: Any) -> None:
    # One thread asks the application, for it keeps a database connection for each that does.
    asking = ThreadPoolExecutor(1, "health of the application")

    def ask(path: str) -> tuple[str, bytes]:
        try:
            return asking.submit(_of_application, application, path).result(ANSWER_WITHIN_S)
        except TimeoutError:
            return "503 Service Unavailable", b"the application does not answer\n"

    places = threading.BoundedSemaphore(ANSWERS_AT_A_TIME)

    def answer(client: socket.socket) -> None:
        try:
            _answer(client, alive, ask)
        finally:
            places.release()

    while True:
        places.acquire()
        try:
            client, _ = listener.accept()
        except OSError:
            places.release()
            time.sleep(AGAIN_AFTER_S)
            continue
        try:
            threading.Thread(
                target=answer, args=(client,), daemon=True, name="health answer"
            ).start()
        except RuntimeError:
            client.close()
            places.release()
            time.sleep(AGAIN_AFTER_S)


def _answer(
    client: socket.socket, alive: Callable[[], bool], ask: Callable[[str], tuple[str, bytes]]
) -> None:
    with client, suppress(OSError):
        client.settimeout(QUESTION_WITHIN_S)
        path = _path(client.recv(QUESTION_BYTES))
        if not alive():
            status, text = "503 Service Unavailable", b"this process serves no pages\n"
        elif path == "/livez":
            status, text = "200 OK", b"ok\n"
        elif path == "/healthz":
            status, text = ask(path)
        else:
            status, text = "404 Not Found", b"/livez and /healthz are here\n"
        head = (
            f"HTTP/1.0 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        client.sendall(head.encode() + text)


def _path(request: bytes) -> str:
    words = request.split(b"\r\n")[0].split(b" ")
    return words[1].decode("latin-1") if len(words) == 3 and words[0] == b"GET" else ""


def _of_application(application: Any, path: str) -> tuple[str, bytes]:
    """What the application says to a GET from this machine."""
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "HTTP_HOST": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    answer = application(environ, lambda status, headers, exc_info=None: said.append(status))
    try:
        return said[0], b"".join(answer)
    finally:
        getattr(answer, "close", lambda: None)()
