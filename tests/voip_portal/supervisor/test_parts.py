"""Restart intensity, log files, health checks and what is checked before the start."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.ports import own_address
from voip_portal.supervisor import deployment as deployments
from voip_portal.supervisor import health, preflight
from voip_portal.supervisor.deployment import CannotStart, Deployment, from_environment
from voip_portal.supervisor.intensity import RestartIntensity
from voip_portal.supervisor.logs import LogFile


def deployment(var: Path) -> Deployment:
    return Deployment(var, "127.0.0.1", 18000, 15060, "")


# -- intensity -----------------------------------------------------------------------------------


def test_the_eleventh_failure_within_a_minute_is_too_much() -> None:
    intensity = RestartIntensity(limit=10, window_s=60)
    assert [intensity.failed(float(t)) for t in range(11)] == [False] * 10 + [True]


def test_failures_are_forgotten_after_the_window() -> None:
    intensity = RestartIntensity(limit=2, window_s=60)
    assert not any(intensity.failed(t) for t in (0.0, 30.0, 60.0, 90.0, 120.0))


def test_a_child_that_became_ready_starts_afresh() -> None:
    intensity = RestartIntensity(limit=1, window_s=60)
    intensity.failed(0.0)
    intensity.succeeded()
    assert not intensity.failed(1.0)


# -- logs ----------------------------------------------------------------------------------------


def test_only_loud_new_lines_are_shown_and_not_too_many(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("old ERROR\n")
    log = LogFile(path)
    with path.open("a") as file:
        file.write("INFO fine\n1 ERROR first\n2 ERROR second\nno newline ERROR")
    assert log.look(0.0) == "2 ERROR second (1 more lines like it)"
    with path.open("a") as file:
        file.write(" yet\n")
    assert log.look(1.0) == ""
    with path.open("a") as file:
        file.write("CRITICAL third\n")
    assert log.look(6.0) == "CRITICAL third (1 more lines like it)"


def test_a_log_is_bounded_and_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = LogFile(path, max_bytes=1000)
    with path.open("ab", buffering=0) as child:
        child.write(b"x" * 1200 + b"\n")
        log.look(0.0)
        child.write(b"ERROR after\n")
    assert path.read_bytes() == b"ERROR after\n"
    assert path.with_suffix(".log.1").stat().st_size == 1201
    assert log.look(10.0) == "ERROR after"


@pytest.mark.parametrize("rotate", [False, True])
def test_a_log_that_was_removed_or_rotated_is_read_and_bounded_on(
    tmp_path: Path, rotate: bool
) -> None:
    path = tmp_path / "x.log"
    log = LogFile(path, max_bytes=1000)
    with path.open("ab", buffering=0) as child:
        if rotate:
            path.rename(tmp_path / "x.log.1")
            path.touch()
        else:
            path.unlink()
        child.write(b"ERROR unseen\n")
        assert log.look(0.0) == "ERROR unseen"
        child.write(b"x" * 1200 + b"\n")
        log.look(1.0)
        assert os.fstat(child.fileno()).st_size == 0


def test_the_next_start_of_a_child_writes_where_its_log_belongs(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("long and old ERROR\n")
    log = LogFile(path)
    path.unlink()
    os.write(log.open(), b"ERROR new\n")
    assert path.read_text() == "ERROR new\n"
    assert log.look(0.0) == "ERROR new"
    assert log.tail() == "ERROR new"


def test_a_log_that_is_a_pipe_has_no_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(path)
    os.write(log.open(), b"ERROR gone\n")
    assert (log.look(0.0), log.tail()) == ("", "")
    os.close(reader)


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Files cannot grow further, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_log_is_bounded_without_a_copy_when_there_is_no_room_for_one(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = LogFile(path, max_bytes=1000)
    path.write_bytes(b"ERROR disk full\n" + b"x" * 1200 + b"\n")
    with no_room_beyond(1100):
        shown = log.look(0.0)
    assert shown == "ERROR disk full"
    assert [(file.name, file.stat().st_size) for file in tmp_path.iterdir()] == [("x.log", 0)]


def test_who_cannot_have_a_log_runs_without_one(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = LogFile(folder / "x.log")
    os.write(log.open(), b"ERROR lost\n")
    assert (log.look(0.0), log.tail()) == ("", "")
    folder.mkdir()
    os.write(log.open(), b"ERROR kept\n")
    assert log.look(1.0) == "ERROR kept"


def test_a_terminal_that_takes_nothing_stops_nothing() -> None:
    code = "import os; from voip_portal.supervisor.__main__ import say; say('Ready.'); os._exit(7)"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, check=False)  # noqa: S603
    assert done.returncode == 7


# -- before the start ----------------------------------------------------------------------------


def test_the_folder_is_private(tmp_path: Path) -> None:
    preflight.make_var(deployment(tmp_path / "var"))
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700


def test_an_impossible_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match=r"cannot be written by user .*VOIP_VAR="):
        preflight.make_var(deployment(tmp_path / "file" / "var"))


def test_a_network_file_system_is_refused_for_sqlite_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "file_system", lambda *_: "nfs4")
    with pytest.raises(CannotStart, match=r"network file system \(nfs4\)"):
        preflight.make_var(deployment(tmp_path))
    preflight.make_var(replace(deployment(tmp_path), database_url="postgres:///voip"))


def test_the_deepest_mount_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nserver:/x /home nfs4 rw 0 0\nd /home/a\\040b ext4 rw 0 0\n"
    )
    assert preflight.file_system(Path("/home/eva/var"), mounts) == "nfs4"
    assert preflight.file_system(Path("/home/a b/var"), mounts) == "ext4"
    assert preflight.file_system(Path("/homer"), mounts) == "ext4"


def test_two_supervisors_do_not_share_a_folder(tmp_path: Path) -> None:
    first, unclean = preflight.lock(tmp_path)
    assert not unclean
    with pytest.raises(CannotStart, match=r"uses .* already"):
        preflight.lock(tmp_path)
    preflight.unlock(first)
    second, unclean = preflight.lock(tmp_path)
    assert not unclean
    second.close()  # as when it was killed
    third, unclean = preflight.lock(tmp_path)
    assert unclean
    preflight.unlock(third)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_busy_port_is_a_sentence(tmp_path: Path, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        busy = replace(deployment(tmp_path), sip_port=other.getsockname()[1])
        with pytest.raises(CannotStart, match=r"port \d+ \(SIP\) .* in use .* VOIP_SIP_PORT="):
            preflight.check_ports(busy, patience=0)


def test_a_busy_port_for_tls_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        busy = replace(deployment(tmp_path), tls_port=other.getsockname()[1])
        with pytest.raises(CannotStart, match=r"\(SIP over TLS\) .* in use .* VOIP_TLS_PORT="):
            preflight.check_ports(busy, patience=0)


def test_tls_has_the_next_port_unless_told_otherwise() -> None:
    assert from_environment({}).tls_port == 5061
    assert from_environment({"VOIP_SIP_PORT": "7000"}).tls_port == 7001
    assert from_environment({"VOIP_TLS_PORT": "7443"}).environment()["VOIP_TLS_PORT"] == "7443"
    assert from_environment({"VOIP_TLS_PORT": "-1"}).environment()["VOIP_TLS_PORT"] == "-1"
    with pytest.raises(CannotStart, match="VOIP_TLS_PORT"):
        from_environment({"VOIP_TLS_PORT": "yes"})


@pytest.mark.parametrize("text", ["0", "65536", "http", "-1"])
def test_an_impossible_port_number_is_a_sentence(text: str) -> None:
    with pytest.raises(CannotStart, match="VOIP_SIP_PORT"):
        from_environment({"VOIP_SIP_PORT": text})


def test_loopback_unless_told_otherwise() -> None:
    here = from_environment({})
    assert here.web_hosts == ["127.0.0.1"]
    assert here.sip_hosts == ["127.0.0.1", "::1"]
    there = from_environment({"VOIP_ADVERTISE": "192.0.2.7"})
    assert there.web_hosts == ["127.0.0.1", "192.0.2.7"]
    assert there.sip_hosts == ["192.0.2.7"]


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_the_local_network_is_served_at_this_machines_address(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "lan_address", lambda: "192.0.2.7")
    there = from_environment({"LAN": value})
    assert there.web_hosts == ["127.0.0.1", "192.0.2.7"]  # the health check and mails stay here
    assert there.sip_hosts == ["192.0.2.7"]
    assert there.environment()["VOIP_ADVERTISE"] == "192.0.2.7"
    # Who names an address knows better, and nobody looks for one.
    named = from_environment({"LAN": value, "VOIP_ADVERTISE": "192.0.2.8"})
    assert named.sip_hosts == ["192.0.2.8"]


@pytest.mark.parametrize("value", ["", "0", "no", "off"])
def test_without_it_nobody_outside_is_served(value: str) -> None:
    assert from_environment({"LAN": value}).host == "127.0.0.1"


@pytest.mark.skipif(not own_address(), reason="this machine has no address but the loopback")
def test_this_machines_address_is_that_of_its_default_route() -> None:
    assert from_environment({"LAN": "1"}).host == own_address()


def test_a_machine_without_a_network_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unconnected(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(deployments.socket, "socket", Unconnected)
    with pytest.raises(CannotStart, match=r"no network route\..* make run VOIP_ADVERTISE=192"):
        from_environment({"LAN": "1"})


# -- health --------------------------------------------------------------------------------------


def test_a_sip_server_is_healthy_when_it_answers_options() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        asked: list[bytes] = []

        def answer() -> None:
            data, peer = server.recvfrom(65535)
            asked.append(data)
            server.sendto(b"SIP/2.0 200 OK\r\n\r\n", peer)

        thread = threading.Thread(target=answer)
        thread.start()
        assert health.sip_answers(*server.getsockname())()
        thread.join()
    assert asked[0].startswith(b"OPTIONS sip:127.0.0.1:")


def test_silence_is_not_health() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        assert not health.sip_answers(*server.getsockname())()
        assert not health.web_answers(*server.getsockname())()


def test_a_health_file_counts_once_it_is_there(tmp_path: Path) -> None:
    check = health.file_appears(tmp_path / "x.health")
    assert not check()
    os.close(os.open(tmp_path / "x.health", os.O_CREAT))
    assert check()
