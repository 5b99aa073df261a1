"""One node on real sockets of the loopback, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import uvloop

from sipcore.apps.config import Listener, WorkerConfig
from sipcore.apps.echo import Echo
from sipcore.apps.user_agent import UserAgent
from sipcore.bindings import BindingChange, BindingTable, MemoryBindingStore, StoreResult
from sipcore.campus import CampusService
from sipcore.directory import Part
from sipcore.node.journal import Journal
from sipcore.node.server import Node
from sipcore.node.spool import Spool
from sipcore.node.worker import Worker
from sipcore.transaction import Timers
from tests.sipcore.simulation.world import KEY, make_directory, secret_of
from tests.support.ports import free_port, has_ipv6
from tests.support.ua import Agent

PATIENCE_S = 5.0


class _Writer:
    """A store that answers at once."""

    def __init__(self) -> None:
        self._store = MemoryBindingStore()

    def submit(
        self,
        changes: Sequence[BindingChange],
        done: Callable[[list[tuple[int, StoreResult]]], None],
    ) -> None:
        results = self._store.commit(changes)
        done([(change.line_id, r) for change, r in zip(changes, results, strict=True)])


class Served:
    """The running node, and phones that know its secrets."""

    def __init__(
        self,
        folder: Path,
        timers: Timers,
        host: str,
        services: Sequence[type[UserAgent]],
        parts: Sequence[Part[Any, Any]] = (),
        **more: Any,
    ) -> None:
        self.port = free_port()
        self.tls_port = free_port()
        """Nobody listens there without `tls_folder`."""
        self.other_port = free_port()
        hosts = [host or "127.0.0.1", *(["::1"] if has_ipv6() and not host else [])]
        addresses = [(host, self.port) for host in hosts]
        listeners = [Listener(t, a, a) for a in addresses for t in ("UDP", "TCP")]
        other, secure = (hosts[0], self.other_port), (hosts[0], self.tls_port)
        listeners.append(Listener("UDP", other, other))
        if "tls_folder" in more:
            listeners.append(Listener("TLS", secure, secure))
        config = WorkerConfig(
            node="n1",
            cluster_keys=(KEY,),
            listeners=tuple(listeners),
            own_hosts=frozenset((hosts[0], "[::1]")),
            timers=timers,
            **more,
        )
        directory = make_directory(["anna", "bob", "clara"]).with_parts(1, parts)
        worker = Worker(
            config, directory, BindingTable(), Random(1), lambda w: CampusService(w, services)
        )
        self.node = Node(
            worker,
            writer=_Writer(),
            spool=Spool(folder / "spool", "life"),
            journal=Journal(folder / "journal.jsonl"),
        )
        self.loop = uvloop.new_event_loop()
        self._agents: list[Agent] = []

    def agent(
        self,
        name: str = "mallory",
        *,
        transport: str = "UDP",
        host: str = "127.0.0.1",
        port: int = 0,
        authority: Path | None = None,
        certificate: Path | None = None,
    ) -> Agent:
        """A phone of anna, bob or clara; any other name is a stranger."""
        ours = name in ("anna", "bob", "clara")
        usual = self.tls_port if transport == "TLS" else self.port
        made = Agent(
            (host, port or usual),
            name,
            secret_of(name) if ours else None,
            transport=transport,
            domain="" if ours else "elsewhere.example",
            authority=authority,
            certificate=certificate,
        )
        self._agents.append(made)
        return made

    def keep(self, agent: Agent) -> None:
        """Close this one at the end, too."""
        self._agents.append(agent)

    def uri(self, user: str, host: str = "127.0.0.1") -> str:
        return f"sip:{user}@{f'[{host}]' if ':' in host else host}:{self.port}"

    def connections(self) -> int:
        """How many stream connections the node has."""
        return len(self.node._streams)

    def close(self) -> None:
        for agent in self._agents:
            agent.close()


@contextmanager
def serving(
    folder: Path,
    timers: Timers | None = None,
    host: str = "",
    services: Sequence[type[UserAgent]] = (Echo,),
    **more: Any,
) -> Iterator[Served]:
    """Start a node, on the loopback or at this address; end it afterwards.

    `more` is what differs from the usual configuration; a `tls_folder` has it listen for TLS too.
    """
    served = Served(folder, timers or Timers(), host, services, **more)
    loop = served.loop
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(served.node.start(), loop).result(PATIENCE_S)
        yield served
    finally:
        served.close()
        asyncio.run_coroutine_threadsafe(_stop(served.node), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


async def _stop(node: Node) -> None:
    await node.stop()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.01)  # connections close
