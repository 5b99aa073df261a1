"""Asking the DNS, by dnspython, which is loaded when the first name comes.

Every question is answered in a bounded time. How many are asked at once, and for whom, is decided
elsewhere, where the answers are kept too (`sipcore.locate`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sipcore.locate import Answer, Naptr, Question, Srv
from sipcore.locate.answers import NOBODY_KNOWS
from sipcore.node.limits import LIFETIME_S, LOOK_AGAIN_S, SERVER_S
from sipcore.transport.flow import Address

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as Library
    from dns.message import QueryMessage

log = logging.getLogger("sipcore.node")

LOOPBACK: Final = {"A": ["127.0.0.1"], "AAAA": ["::1"]}
"""What localhost is, which no DNS server is asked (RFC 6761 §6.3)."""
RESOLV_CONF: Final = "/etc/resolv.conf"


class Resolver:
    """Answers questions through `answered`, each once, never from within `ask`."""

    def __init__(
        self,
        answered: Callable[[Question, Answer], None],
        servers: Sequence[Address] = (),
        *,
        lifetime_s: float = LIFETIME_S,
        server_s: float = SERVER_S,
    ) -> None:
        """`servers` are asked in this order; without any those of the system."""
        self._answered = answered
        self._servers = list(servers)
        self._lifetime_s = lifetime_s
        self._server_s = server_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._resolver: Any = None
        self._sockets: Any = None
        self._loading: asyncio.Lock | None = None
        self._conf_stamp = -1
        self._look_again_at = 0.0

    def __len__(self) -> int:
        """Questions being asked."""
        return len(self._tasks)

    def ask(self, question: Question, loop: asyncio.AbstractEventLoop) -> None:
        """Have a question answered."""
        name, kind = question
        if name == "localhost" or name.endswith(".localhost"):
            answer = Answer(3600.0, addresses=LOOPBACK.get(kind, []))
            loop.call_soon(self._answered, question, answer)
            return
        task = loop.create_task(self._find(question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._sockets is not None:
            await self._sockets.settle()

    async def _find(self, question: Question) -> None:
        answer = NOBODY_KNOWS
        try:
            # dnspython keeps to its lifetime by the wall clock, which may be set.
            async with asyncio.timeout(self._lifetime_s + 1):
                answer = await self._query(question)
        except TimeoutError:
            pass
        except Exception:  # whatever the library did: who waits must hear of it
            log.exception("looking up %s %s", *question)
        self._answered(question, answer)

    async def _query(self, question: Question) -> Answer:
        resolver = await self._ready()
        if resolver is None:
            return NOBODY_KNOWS
        from dns.exception import DNSException
        from dns.name import from_text
        from dns.resolver import NXDOMAIN

        name, kind = question
        try:
            qname = from_text(f"{name}.")
        except (DNSException, UnicodeError):
            return Answer(NOBODY_KNOWS.ttl_s)  # a name that cannot be: nobody need be asked
        try:
            found = await resolver.resolve(
                qname, kind, raise_on_no_answer=False, search=False, lifetime=self._lifetime_s
            )
        except NXDOMAIN as error:
            return answer_of(kind, error.response(qname))  # type: ignore[no-untyped-call]
        except (DNSException, OSError) as error:
            log.info("nobody answers %s %s: %s", name, kind, type(error).__name__)
            return NOBODY_KNOWS
        return answer_of(kind, found.response)

    async def _ready(self) -> Library | None:
        """The library's resolver, with the servers of today."""
        loop = asyncio.get_running_loop()
        if self._loading is None:
            self._loading = asyncio.Lock()
        async with self._loading:
            if self._is_stale(loop.time()):
                # Loading takes a tenth of a second, which the loop has not.
                self._resolver = await loop.run_in_executor(None, self._make)
        resolver: Library | None = self._resolver
        return resolver

    def _make(self) -> Library | None:
        import dns.asyncresolver
        import dns.rdtypes.IN.A
        import dns.rdtypes.IN.AAAA
        import dns.rdtypes.IN.NAPTR
        import dns.rdtypes.IN.SRV  # dnspython would load them on the loop
        from dns.nameserver import Nameserver
        from dns.resolver import NoResolverConfiguration

        from sipcore.node.dns_server import BoundedNameserver, Sockets

        if self._sockets is None:
            self._sockets = Sockets()
        resolver = dns.asyncresolver.Resolver(configure=False)
        servers = self._servers
        if not servers:
            try:
                resolver.read_resolv_conf(RESOLV_CONF)
            except (NoResolverConfiguration, OSError) as error:
                log.error("no DNS server is known: %s", error)
                return None
            servers = [
                (server.answer_nameserver(), server.answer_port())
                for server in resolver.nameservers
                if isinstance(server, Nameserver)
            ]
        resolver.nameservers = [
            BoundedNameserver(host, port, self._sockets) for host, port in servers
        ]
        resolver.timeout = self._server_s
        resolver.lifetime = self._lifetime_s
        return resolver

    def _is_stale(self, now: float) -> bool:
        """Whether the servers must be read (again)."""
        if now < self._look_again_at or (self._servers and self._resolver is not None):
            return False
        self._look_again_at = now + LOOK_AGAIN_S
        stamp = 0
        with suppress(OSError):
            stamp = os.stat(RESOLV_CONF).st_mtime_ns
        changed = stamp != self._conf_stamp
        self._conf_stamp = stamp
        return changed or self._resolver is None


def answer_of(kind: str, response: QueryMessage) -> Answer:
    """What a response says of a question of this kind; CNAMEs in it were followed."""
    from dns.exception import DNSException
    from dns.rdatatype import NS, SOA

    try:
        chain = response.resolve_chaining()
    except DNSException:
        return NOBODY_KNOWS
    if chain.answer is None:
        kinds = {rows.rdtype for rows in response.authority}
        if SOA in kinds:
            return Answer(float(chain.minimum_ttl))
        if NS in kinds and not response.rcode():
            return NOBODY_KNOWS  # "ask those": a server that neither knows nor finds out
        return Answer(0.0)  # RFC 2308 §5: without an SOA not to be kept
    ttl_s = float(chain.minimum_ttl)
    if kind == "SRV":
        srv = [Srv(row.priority, row.weight, row.port, text_of(row.target)) for row in chain.answer]
        return Answer(ttl_s, srv=srv)
    if kind == "NAPTR":
        naptr = [
            Naptr(
                row.order,
                row.preference,
                row.flags.decode("ascii", "replace"),
                row.service.decode("ascii", "replace"),
                row.regexp.decode("utf-8", "replace"),
                text_of(row.replacement),
            )
            for row in chain.answer
        ]
        return Answer(ttl_s, naptr=naptr)
    return Answer(ttl_s, addresses=[str(row.address) for row in chain.answer])


def text_of(name: Any) -> str:
    """A name as questions have it; "" for the root."""
    return str(name.to_text(omit_final_dot=True)).lower() if len(name) > 1 else ""
