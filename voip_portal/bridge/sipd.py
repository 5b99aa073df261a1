"""The SIP daemon: sipcore's node on the portal's database. Started by `manage.py sipd`.

    python -m voip_portal.bridge.sipd CONFIG.json

Loads directory and bindings, adopts the calls of the slot's journal, serves until SIGTERM. Imports
no Django.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import sipcore.node.worker
from sipcore.apps.config import Listener, StreamLimits, WorkerConfig
from sipcore.apps.user_agent import UserAgent
from sipcore.bindings import BindingTable, LineBindings
from sipcore.campus import CampusService
from sipcore.directory import Directory
from sipcore.node.entropy import PooledRandom
from sipcore.node.journal import Journal
from sipcore.node.server import Node
from sipcore.node.spool import Spool
from sipcore.node.worker import Worker
from sipcore.registrar import RegistrarPolicy
from voip_portal import open_files
from voip_portal.bridge.binding_journal import MAX_EXPIRES_S, BindingJournal
from voip_portal.bridge.binding_store import SqlBindingStore
from voip_portal.bridge.database import Database
from voip_portal.bridge.directory_loader import BadDirectory, Delta, load_directory
from voip_portal.bridge.keeper import Keeper
from voip_portal.bridge.kept import Kept, NotKept, newer_than, put_on_top
from voip_portal.bridge.node_lock import lock_node
from voip_portal.bridge.saver import Saver
from voip_portal.bridge.writer import BindingWriter
from voip_portal.faults import Plainly, first_line, in_a_sentence, said_plainly
from voip_portal.nodes.certificates import own_authority

log = logging.getLogger("voip_portal.sipd")

LINES_AT_ONCE = 500
"""Lines whose bindings are taken over in one turn of the loop: a millisecond or two."""
OWN_FILES = 512
"""Open files for spool, journals, databases and questions to the DNS, which no number of
connections may take away."""


def worker_config(config: dict[str, Any], incarnation: int) -> WorkerConfig:
    """The worker's part of the configuration file."""
    names = {"TLS": config["tls_name"]}
    listeners = tuple(
        Listener(t, (host, port), (names.get(t) or config["advertise"][host], port))
        for t, host, port in config["listen"]
    )
    hosts = {listener.local[0] for listener in listeners}
    hosts |= {listener.advertised[0] for listener in listeners} | {"localhost"}
    own = {f"[{h}]" if ":" in h else h for h in hosts}
    return WorkerConfig(
        node=config["node"],
        cluster_keys=tuple(bytes.fromhex(key) for key in config["cluster_keys"]),
        listeners=listeners,
        own_hosts=frozenset(own),
        node_number=config["node_number"],
        incarnation=incarnation,
        streams=stream_limits(),
        probe_s=config["probe_s"],
        max_call_s=config["max_call_s"],
        tls_folder=config["tls_folder"],
        registrar=RegistrarPolicy(service_route=tuple(config["service_route"])),
    )


def stream_limits() -> StreamLimits:
    """As many connections as there may be open files, some of which are kept for our own."""
    files = open_files.raise_limit()
    limits = StreamLimits()
    if files is None:
        return limits
    return replace(limits, connections=max(1, min(limits.connections, files - OWN_FILES)))


def application(name: str) -> type[UserAgent]:
    """The class that `module:Class` names."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"VOIP_APPLICATIONS: {name!r} cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, UserAgent)):
        raise SystemExit(f"VOIP_APPLICATIONS: {name!r} is no sipcore.apps.user_agent.UserAgent")
    return found


class Sipd:
    """One node with its sole worker."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        var = Path(config["var"])
        self._lock = lock_node(var / "run", config["node"])
        incarnation = time.time_ns() // 1_000_000 % (1 << 32)
        self._store = SqlBindingStore(config["bindings_database"])
        self._kept = Kept(var / "kept", config["node"])
        directory, is_kept = self._first_directory()
        bindings = BindingTable()
        journal = BindingJournal(var / "journal" / f"{config['node']}-bindings.jsonl")
        self._behind = self._first_bindings(bindings, journal)
        """Whether the store may have bindings that are not held here."""
        self._store.database.close()  # the writer's thread opens its own
        services = [application(name) for name in config["applications"]]
        self.worker = Worker(
            worker_config(config, incarnation),
            directory,
            bindings,
            PooledRandom(),
            lambda worker: CampusService(worker, services),
        )
        self._policy = self.worker.config.registrar
        name = config["node"]
        self._writer = BindingWriter(
            self._store, journal, self._present, self._degraded, away=self._behind
        )
        if self._behind:
            self._set_policy(self._short())
        self._saver = Saver(self._kept, self.worker, config["cluster_keys"], is_kept=is_kept)
        self.node = Node(
            self.worker,
            writer=self._writer,
            spool=Spool(var / "spool", f"{name}-0-{incarnation}", config["spool_bytes"]),
            journal=Journal(var / "journal" / f"{name}-0.jsonl"),
            dns_servers=[(host, port) for host, port in config["dns"]],
        )
        self._keeper = Keeper(
            config["database"], name, directory, self._on_directory, self._figures
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    def _first_directory(self) -> tuple[Directory, bool]:
        """The database's directory, or the last one in force; whether it is that."""
        database = Database(self._config["database"])
        try:
            return load_directory(database), False
        except (*database.errors, BadDirectory) as error:
            why = in_a_sentence(error) or first_line(error)
        finally:
            database.close()
        try:
            kept = self._kept.load_directory()
        except NotKept as error:
            raise SystemExit(f"{why} This node cannot start without it: {error}.") from None
        log.warning("degraded: %s. %s", kept.told, why)
        return kept.directory, True

    def _first_bindings(self, table: BindingTable, journal: BindingJournal) -> bool:
        """Load the bindings; True where they are those that this node has kept."""
        try:
            journal.merge_into(self._store)
            lines, is_kept = list(self._store.load()), False
        except self._store.database.errors as error:
            is_kept = True
            try:
                lines = self._kept.load_bindings()
            except NotKept as not_kept:
                lines = []
                log.error("no bindings were kept: %s", not_kept)
            count = sum(len(line.bindings) for line in lines)
            why = in_a_sentence(error) or first_line(error)
            log.warning("degraded: the %d bindings that this node has kept. %s", count, why)
        for line in lines:
            table.replace(line.line_id, line.version, line.bindings)
        if is_kept:
            for change in journal.read():
                put_on_top(table, change, time.time())
        return is_kept

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then end what rings; after a second signal stop at once."""
        self._loop = asyncio.get_running_loop()
        stop, at_once = asyncio.Event(), asyncio.Event()

        def told() -> None:
            (at_once if stop.is_set() else stop).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, told)
        self._writer.start()
        await self.node.start()
        self._keeper.start()
        self._saver.start()
        core = "source" if str(sipcore.node.worker.__file__).endswith(".py") else "compiled"
        log.info("%s serves %s (sipcore: %s)", self._config["node"], self._config["listen"], core)
        await stop.wait()
        await self._drain(at_once)
        self._keeper.stop()
        await self.node.stop()
        self._writer.stop()
        self._saver.stop()
        self._writer.join(5)
        self._saver.join(5)

    async def _drain(self, at_once: asyncio.Event) -> None:
        """End what rings, unless a second signal comes."""
        log.info(
            "stopping: answered calls stay, what rings is ended; a second signal stops at once"
        )
        tasks = [
            asyncio.create_task(self.node.drain(self._config["stop_wait_s"])),
            asyncio.create_task(at_once.wait()),
        ]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()

    def _on_directory(self, delta: Delta) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._put_in_force, delta)

    def _put_in_force(self, delta: Delta) -> None:
        """First nobody new is let in, then who is in goes."""
        self.node.set_directory(delta.directory, delta.changed)
        if delta.ended:
            self.worker.application.end_calls_of(delta.ended, self.worker.now)

    def _present(self, line_id: int) -> LineBindings:
        """What the worker holds of a line; asked by the writer's thread while the line waits."""
        table = self.worker.bindings
        live = tuple(table.bindings(line_id, time.time()))
        return LineBindings(line_id, table.version(line_id), live)

    def _degraded(self, away: bool) -> None:
        """Grant short registrations only while the database is away; keep what is held then."""
        policy = self._short() if away else self._policy
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._set_policy, policy)
        if self._behind and not away:
            self._catch_up()
        self._saver.save_bindings_now()

    def _short(self) -> RegistrarPolicy:
        return replace(self._policy, max_expires_s=MAX_EXPIRES_S)

    def _catch_up(self) -> None:
        """Take what the store has of other nodes, or of our last life; from the writer's thread."""
        table = self.worker.bindings
        try:
            newer = newer_than(table.version, self._store.load())
        except self._store.database.errors as error:
            log.warning("bindings of others not read yet: %s", first_line(error))
            return
        self._behind = False
        for start in range(0, len(newer), LINES_AT_ONCE):
            lines = newer[start : start + LINES_AT_ONCE]
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._take, lines)

    def _take(self, lines: Sequence[LineBindings]) -> None:
        for line in lines:
            self.worker.bindings.replace(line.line_id, line.version, line.bindings)

    def _set_policy(self, policy: RegistrarPolicy) -> None:
        self.worker.config = replace(self.worker.config, registrar=policy)

    def _figures(self) -> dict[str, Any]:
        """What the keeper reports; read from its thread, so only lengths and copies."""
        counts, folder = self.worker.counts, self._config["tls_folder"]
        return {
            "listeners": [
                [each.transport, *each.local, each.advertised[0]]
                for each in self.worker.config.listeners
            ],
            "address": self._config["address"],
            "own_authority": bool(folder) and own_authority(Path(folder)) is not None,
            "calls_now": len(self.worker.calls),
            "registrations": self.worker.bindings.count,
            "counts": {"latest": counts.latest, "total": counts.since_start()},
        }


def main() -> None:
    """Entry point."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(Plainly())
    with Path(sys.argv[1]).open() as file:
        config = json.load(file)
    with suppress(ValueError, OSError):
        os.close(int(Path(sys.argv[1]).name))  # the descriptor that we got it by
    os.umask(0o077)
    # The keeper and the writer must not hold the event loop up for long.
    sys.setswitchinterval(0.001)
    sipd = Sipd(config)
    # What is loaded now stays: keep the collector from walking over it again and again.
    gc.collect()
    gc.freeze()
    # What a call leaves behind has no cycles: the collector finds nothing, so it need not look at
    # everything, and never at much at once (10 ms for what survived of 100,000 allocations).
    gc.set_threshold(10_000, 10, 1_000)
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
    with suppress(ImportError):
        import uvloop

        run = uvloop.run
    run(sipd.run())


if __name__ == "__main__":
    with said_plainly():
        main()
