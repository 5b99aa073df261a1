"""The web processes over a small application: bounds, hanging, stopping, large answers."""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.campus import wait_for
from tests.voip_portal.web.site import Site, running
from voip_portal.web.limits import LIMITS, NO_PAGE_S

APPLICATION = """
import time

CHUNK = b"x" * 65536

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hang":
        time.sleep(3600)
    if path == "/wrapper":
        environ["HTTP_X_FORWARDED_FOR"] = str("wsgi.file_wrapper" in environ)
    if path == "/slow":
        time.sleep(2)
    if path == "/large":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (CHUNK for _ in range(320))
    text = environ.get("HTTP_X_FORWARDED_FOR", "-").encode()
    body = environ["wsgi.input"].read()
    text += b" %d" % len(body)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    (tmp_path / "small.py").write_text(APPLICATION)
    contexts = []

    def begin(**settings: str) -> Site:
        contexts.append(running(tmp_path, "small:application", **settings))
        return contexts[-1].__enter__()

    yield begin
    for context in contexts:
        context.__exit__(None, None, None)


def get(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    sent = {k.replace("_", "-"): v for k, v in headers.items()}
    request = urllib.request.Request(url, data, sent)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as page:  # noqa: S310
            return page.status, page.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_bounds_of_requests_and_what_a_proxy_may_say(start: Callable[..., Site]) -> None:
    site = start(VOIP_PROXY_NETWORKS="192.0.2.1")
    assert get(site.url, b"x" * LIMITS.body_bytes) == (200, b"- %d" % LIMITS.body_bytes)
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (LIMITS.body_bytes + 1)
        )
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    assert get(site.url, X_Long="x" * LIMITS.header_bytes)[0] == 431
    assert get(site.url, X_Forwarded_For="192.0.2.9") == (200, b"- 0")
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"ab")
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_health_is_answered_while_every_thread_hangs_and_the_process_is_replaced(
    start: Callable[..., Site],
) -> None:
    site = start()
    before = site.workers()
    hanging = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(60)]
    for client in hanging:
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    assert get(site.health_url("/livez")) == (200, b"ok\n")
    wait_for(
        "new processes",
        lambda: not set(site.workers()) & set(before) and len(site.workers()) == 2,
        NO_PAGE_S + 70,  # a loaded machine takes long to start one
    )
    assert get(site.url) == (200, b"- 0")
    assert "CRITICAL" in site.log()
    for client in hanging:
        client.close()


def test_a_large_answer_arrives_whole_and_who_does_not_take_it_takes_no_thread(
    start: Callable[..., Site],
) -> None:
    site = start()
    takers = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(12)]
    for client in takers:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    status, body = get(f"{site.url}/large")
    assert (status, len(body)) == (200, 20_971_520)
    for client in takers:
        client.close()


def test_what_is_being_served_is_finished_when_told_to_stop(start: Callable[..., Site]) -> None:
    site = start()
    answers: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: answers.append(get(f"{site.url}/slow")))
    asking.start()
    time.sleep(0.5)
    os.kill(site.master, signal.SIGTERM)
    asking.join()
    assert answers == [(200, b"- 0")]


def test_a_process_may_open_all_the_files_it_is_allowed_and_answers_hold_none(
    start: Callable[..., Site],
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        site = start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert get(f"{site.url}/wrapper") == (200, b"False 0")
    for worker in site.workers():
        assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (hard, hard)
