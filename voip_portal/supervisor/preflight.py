"""What must hold before the first process starts; each failure is one sentence with a remedy."""

from __future__ import annotations

import errno
import fcntl
import getpass
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from voip_portal.supervisor.deployment import LOOPBACK, CannotStart, Deployment

NETWORK_FILE_SYSTEMS = frozenset(
    [
        "9p",
        "afs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.davfs2",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
    ]
)
"""File systems whose locks or shared memory SQLite cannot trust."""
ORPHANS_END_WITHIN_S = 6.0
"""Processes of a supervisor that was killed may hold their ports so long."""


def make_var(deployment: Deployment) -> None:
    """Make the state folder, for its owner only, where it can be used."""
    var = deployment.var
    for folder in (var, var / "run", var / "log"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            raise CannotStart(unwritable(folder, error)) from None
    if not os.access(var, os.W_OK | os.X_OK):
        raise CannotStart(unwritable(var, PermissionError("Permission denied")))
    kind = file_system(var, Path("/proc/self/mounts"))
    if deployment.on_sqlite and kind in NETWORK_FILE_SYSTEMS:
        raise CannotStart(
            f"{var} is on a network file system ({kind}), where SQLite may lose data. Choose a "
            "folder on a local disk: make run VOIP_VAR=/path, or use PostgreSQL (DATABASE_URL)."
        )


def unwritable(folder: Path, error: OSError) -> str:
    """The sentence for a folder that cannot be made or written."""
    return (
        f"{folder} cannot be written by user {user_name()} ({error.strerror or error}). Give that "
        "user the folder, or choose another one: make run VOIP_VAR=/path"
    )


def user_name() -> str:
    """Who runs this, as a name if the system knows one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # KeyError: before Python 3.13
        return str(os.getuid())


def file_system(path: Path, mounts: Path) -> str:
    """The type of the file system that holds `path`; "" when that cannot be told."""
    best, kind = -1, ""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, point, name, *_ = line.split(" ")
        point = point.encode().decode("unicode_escape")  # a blank is written \040
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), name
    return kind


def lock(var: Path) -> tuple[TextIO, bool]:
    """Take the folder's lock, until the file is closed; True when the last run did not end well."""
    file = (var / "supervisor.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CannotStart(
            f"Another make run uses {var} already. Stop it (Ctrl-C), or choose another folder "
            "and other ports: make run VOIP_VAR=/path VOIP_WEB_PORT=8001 VOIP_SIP_PORT=5070"
        ) from None
    file.seek(0)
    unclean = bool(file.read())
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file, unclean


def unlock(file: TextIO) -> None:
    """Note that all processes have ended, and give the lock back."""
    file.truncate(0)
    file.close()


def check_ports(deployment: Deployment, *, patience: float) -> None:
    """Refuse to start when another program has a port; wait `patience` seconds for it first."""
    deadline = time.monotonic() + patience
    while True:
        problem = next(busy_ports(deployment), None)
        if problem is None:
            return
        if time.monotonic() >= deadline:
            raise CannotStart(problem)
        time.sleep(0.1)


def busy_ports(deployment: Deployment) -> Iterator[str]:
    """A sentence for every port that cannot be bound."""
    web, sip = deployment.web_port, deployment.sip_port
    yield from unusable(deployment.web_hosts, web, "web", "VOIP_WEB_PORT", [socket.SOCK_STREAM])
    if deployment.health_port:
        hosts, port = [LOOPBACK], deployment.health_port
        yield from unusable(hosts, port, "health", "VOIP_HEALTH_PORT", [socket.SOCK_STREAM])
    kinds = [socket.SOCK_DGRAM, socket.SOCK_STREAM]
    yield from unusable(deployment.sip_hosts, sip, "SIP", "VOIP_SIP_PORT", kinds)
    if deployment.tls_port > 0:
        tls = [socket.SOCK_STREAM]
        hosts, port = deployment.sip_hosts, deployment.tls_port
        yield from unusable(hosts, port, "SIP over TLS", "VOIP_TLS_PORT", tls)


def unusable(
    hosts: Iterable[str], port: int, what: str, variable: str, kinds: list[socket.SocketKind]
) -> Iterator[str]:
    """A sentence for every address of `hosts` that cannot be bound."""
    for host in hosts:
        for kind in kinds:
            error = bind_error(host, port, kind)
            if error is None or (host == "::1" and not isinstance(error, PortTaken)):
                continue  # no IPv6 on this machine: the daemon does without
            name = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
            if isinstance(error, PortTaken):
                yield (
                    f"{name} port {port} ({what}) on {host} is in use by another program. Stop "
                    f"that program, or choose another port: make run {variable}={port + 10}"
                )
            else:
                yield f"Cannot listen on {host} {name} port {port} ({what}): {error.strerror}."


class PortTaken(OSError):
    """Somebody else has the port."""


def bind_error(host: str, port: int, kind: socket.SocketKind) -> OSError | None:
    """Try to bind, as the servers will."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            if kind == socket.SOCK_STREAM:
                probe.listen()
    except OSError as error:
        return PortTaken(*error.args) if error.errno == errno.EADDRINUSE else error
    return None
