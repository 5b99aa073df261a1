"""`manage.py sipd`: check, write the daemon's configuration, and become the daemon."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.core.checks import WARNING, Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from sipcore.errors import MalformedMessage
from sipcore.message.uri import parse_host_port, parse_uri
from sipcore.transport.flow import is_address
from voip_portal.bridge import limits
from voip_portal.bridge.compiled import FOLDER, is_current
from voip_portal.bridge.kept import Kept, NotKept
from voip_portal.bridge.listening import advertised_as, listen_hosts
from voip_portal.bridge.sipd import stream_limits
from voip_portal.directory.words import is_sip_uri
from voip_portal.faults import in_a_sentence
from voip_portal.nodes.campus_authority import NoAuthority, ensure
from voip_portal.nodes.models import Deployment
from voip_portal.nodes.one_authority import ensure_certificate
from voip_portal.nodes.services import NUMBERS, NoNumberLeft, number_of_node
from voip_portal.numbers.models import Domain
from voip_portal.peers.variables import read_start_values

DNS_PORT = 53
SECRET = frozenset({"cluster_keys", "database", "bindings_database"})
"""What of the daemon's configuration is written to no file."""
OF_DJANGO = frozenset({"assume_role", "isolation_level", "pool", "server_side_binding"})
"""Options of a PostgreSQL database that are not the driver's."""


class Command(BaseCommand):
    """Run one SIP node until it is told to stop."""

    help = "Run a SIP node: registrar and proxy on the portal's database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--node", default=os.environ.get("VOIP_NODE", "node1"))
        parser.add_argument("--port", type=int, default=settings.VOIP_SIP_PORT)
        parser.add_argument("--host", action="append", help="address to listen on (repeatable)")
        parser.add_argument(
            "--new-authority",
            action="store_true",
            help="where the key of the deployment's authority is lost: make another one",
        )
        parser.add_argument("--limits", action="store_true", help="print all limits, start nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limits"]:
            self.stdout.write(limits.table(limits.all_limits(limits_set())))
            return
        hosts = listen_hosts(options["host"] or settings.VOIP_LISTEN, settings.VOIP_ADVERTISE)
        try:
            self.check_migrations()
            self.check(tags=[Tags.database], databases=["default"], fail_level=WARNING)
            read_start_values()
            known = known_to_database(options["node"])
        except (OperationalError, InterfaceError) as error:
            known = kept_of(options["node"], error)
        port, tls_port = options["port"], settings.VOIP_TLS_PORT
        config = daemon_config(options["node"], hosts, port, tls_port, known)
        if config["tls_folder"]:
            names = certificate_names(hosts, known)
            make_certificate(
                Path(config["tls_folder"]), names, known, anew=options["new_authority"]
            )
        path = Path(settings.VOIP_VAR) / "run" / f"sipd-{options['node']}.json"
        told = {name: value for name, value in config.items() if name not in SECRET}
        write_private(path, json.dumps(told))
        become_daemon(in_memory(json.dumps(config)))


class Known(NamedTuple):
    """What is asked of the database before the daemon starts."""

    cluster_keys: Sequence[str]
    domains: Sequence[str]
    node_number: int
    is_kept: bool = False
    """Whether the database could not be asked."""


def known_to_database(node: str) -> Known:
    """What the database says; it has a number for this node from now on."""
    deployment = Deployment.objects.filter(id=1).first()
    if deployment is None:
        raise CommandError("This database has no deployment yet: run manage.py first_start.")
    keys = [deployment.cluster_key]
    if deployment.previous_cluster_key:
        keys.append(deployment.previous_cluster_key)
    try:
        number = number_of_node(node)
    except NoNumberLeft:
        raise CommandError(
            f"The database knows {NUMBERS} nodes, and there can be no more: give this one the name of "
            "one that is gone (VOIP_NODE), or remove one: manage.py forget_node NAME"
        ) from None
    return Known(keys, list(Domain.objects.order_by("pk").values_list("name", flat=True)), number)


def kept_of(node: str, error: Exception) -> Known:
    """What this node has kept for when the database cannot be asked."""
    try:
        kept = Kept(Path(settings.VOIP_VAR) / "kept", node).load_directory()
    except NotKept as not_kept:
        raise CommandError(
            f"{in_a_sentence(error)} This node cannot start without it: {not_kept}."
        ) from None
    domains = list(kept.directory.domains)
    return Known(kept.cluster_keys, domains, kept.node_number, is_kept=True)


def in_memory(text: str) -> int:
    """A file in memory alone, for the next program of this process: passwords are in no other."""
    fd = os.memfd_create("sipd", 0)  # not closed when the daemon takes over
    with os.fdopen(fd, "w", closefd=False) as file:
        file.write(text)
    return fd


def become_daemon(config: int) -> None:
    """Replace this process by the daemon, on the compiled sipcore where there is one."""
    root = settings.BASE_DIR
    places = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    if settings.VOIP_COMPILED and is_current(root):
        places.insert(0, str(root / FOLDER))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    # -P: the working directory must not come before the compiled modules.
    command = [sys.executable, "-P", "-m", "voip_portal.bridge.sipd", f"/dev/fd/{config}"]
    os.execve(sys.executable, command, env)  # noqa: S606 (our own interpreter and module)


def certificate_names(hosts: list[str], known: Known) -> list[str]:
    """All that phones may know this node by."""
    names = [*known.domains, *filter(None, [settings.VOIP_TLS_NAME]), settings.VOIP_ADVERTISE]
    return list(dict.fromkeys([*names, *hosts, "localhost"]))


def make_certificate(folder: Path, names: list[str], known: Known, *, anew: bool) -> None:
    """Have sipd show one of our own making where the operator has put none."""
    try:
        if known.is_kept:
            ensure(folder, names, may_found=False)
        else:
            ensure_certificate(folder, names, anew=anew)
    except NoAuthority:
        raise CommandError(
            f"No certificate for TLS can be made in {folder}: the key of the deployment's authority "
            "is not there. Copy the folder `authority` from the VOIP_TLS_FOLDER of the first node, put "
            "a certificate of yours there, or do without TLS: VOIP_TLS_PORT=-1. If that key is lost: "
            "sipd --new-authority makes another authority, which phones must be given."
        ) from None
    except OSError as error:
        raise CommandError(
            f"No certificate for TLS can be written to {folder} ({error.strerror}). Give this user "
            "the folder, put a certificate there, or do without TLS: VOIP_TLS_PORT=-1"
        ) from None


def daemon_config(
    node: str, hosts: list[str], port: int, tls_port: int, known: Known | None = None
) -> dict[str, Any]:
    """All that the daemon needs to know, as JSON values."""
    if known is None:
        known = known_to_database(node)
    databases = settings.DATABASES
    ports = [("UDP", port), ("TCP", port)] + [("TLS", tls_port)] * (tls_port > 0)
    return {
        "node": node,
        "var": str(settings.VOIP_VAR),
        "listen": [[t, host, p] for host in hosts for t, p in ports],
        "tls_name": settings.VOIP_TLS_NAME,
        "tls_folder": str(settings.VOIP_TLS_FOLDER) if tls_port > 0 else "",
        "advertise": advertised_as(
            hosts, settings.VOIP_ADVERTISE, is_named=bool(settings.VOIP_LISTEN)
        ),
        "address": settings.VOIP_ADVERTISE,
        "dns": dns_servers(settings.VOIP_DNS),
        "service_route": service_route(settings.VOIP_SERVICE_ROUTE),
        "node_number": known.node_number,
        "cluster_keys": list(known.cluster_keys),
        "applications": settings.VOIP_APPLICATIONS,
        "probe_s": settings.VOIP_PROBE_S,
        "max_call_s": settings.VOIP_MAX_CALL_S,
        "stop_wait_s": settings.VOIP_STOP_WAIT_S,
        "spool_bytes": settings.VOIP_SPOOL_MB << 20,
        "database": driver_settings(databases["default"]),
        "bindings_database": driver_settings(databases.get("bindings", databases["default"])),
    }


def limits_set() -> dict[str, tuple[float, str]]:
    """The limits in force that an operator sets: number and setting, by the key of the limit."""
    return {
        "transport.StreamLimits.connections": (stream_limits().connections, "ulimit -n"),
        "apps.WorkerConfig.probe_s": (settings.VOIP_PROBE_S, "VOIP_PROBE_S"),
        "apps.WorkerConfig.max_call_s": (settings.VOIP_MAX_CALL_S, "VOIP_MAX_CALL_S"),
        "node.MAX_BYTES": (settings.VOIP_SPOOL_MB << 20, "VOIP_SPOOL_MB"),
    }


def dns_servers(words: Sequence[str]) -> list[tuple[str, int]]:
    """Addresses and ports of VOIP_DNS; an IPv6 address with a port is in brackets."""
    servers = []
    for word in words:
        try:
            host, port = parse_host_port(
                f"[{word}]" if word.count(":") > 1 and word[0] != "[" else word, ""
            )
        except MalformedMessage:
            host, port = "", None
        host = host.strip("[]")
        if not is_address(host):
            raise CommandError(
                f"VOIP_DNS: {word} is no address of a DNS server: "
                "write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353."
            )
        servers.append((host, port or DNS_PORT))
    return servers


def service_route(words: Sequence[str]) -> list[str]:
    """The Route values of VOIP_SERVICE_ROUTE."""
    for word in words:
        if not is_sip_uri(word) or "lr" not in parse_uri(word).params:
            raise CommandError(
                f"VOIP_SERVICE_ROUTE: {word} is no URI of a proxy: write sip:sip.example.org;lr."
            )
    return [f"<{word}>" for word in words]


def driver_settings(database: dict[str, Any]) -> dict[str, Any]:
    """A Django database as the daemon's drivers want it."""
    if database["ENGINE"].endswith("sqlite3"):
        return {"engine": "sqlite", "path": str(database["NAME"])}
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    options = {name: v for name, v in database["OPTIONS"].items() if name not in OF_DJANGO}
    try:
        dsn = make_conninfo(
            dbname=database["NAME"],
            user=database["USER"] or None,
            password=database["PASSWORD"] or None,
            host=database["HOST"] or None,
            port=database["PORT"] or None,
            **options,
        )
    except ProgrammingError as error:
        raise CommandError(f"DATABASE_URL: {str(error).splitlines()[0]}.") from None
    return {"engine": "postgresql", "dsn": dsn}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
