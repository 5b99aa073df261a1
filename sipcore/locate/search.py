"""One search: which questions are open, which candidate comes next (RFC 3263 §4.1, §4.2).

`advance` goes as far as the answers known so far lead. The hosts are found first (NAPTR, SRV), then
the addresses of one host at a time, each when the one before was of no use: sixty-four SRV records
cost one address look-up where the first server answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.locate.answers import Answer, Naptr, Question
from sipcore.locate.destination import SECURE, Candidate, Destination
from sipcore.locate.limits import MAX_HOSTS, MAX_SERVERS, MAX_SERVICES
from sipcore.locate.ordering import by_order_and_preference, by_precedence, in_order
from sipcore.random_source import RandomSource
from sipcore.transport.flow import DEFAULT_PORTS, is_address

_SERVICES: Final = {
    "SIP+D2U": "UDP",
    "SIP+D2T": "TCP",
    "SIPS+D2T": "TLS",
    "SIP+D2W": "WS",
    "SIPS+D2W": "WSS",
}
"""NAPTR services (RFC 3263 §4.1, RFC 7118 §5.5)."""
_SRV_PREFIXES: Final = {"UDP": "_sip._udp.", "TCP": "_sip._tcp.", "TLS": "_sips._tcp."}
"""Of the transports that have SRV records of their own, the one liked best first."""

Speaks = frozenset[tuple[str, bool]]
"""What we can send by: (transport, whether over IPv6)."""
Known = Callable[[Question], Answer | None]
Host = tuple[str, str, int]
"""Transport, name or address, port."""


class Search:
    """The way from a destination to its servers, best first."""

    __slots__ = (
        "_hosts",
        "_next_host",
        "_random",
        "_seen",
        "_speaks",
        "_transports",
        "_wanted",
        "asker",
        "current",
        "has_no_room",
        "known",
        "last_resort",
        "open",
        "ready",
        "tried",
    )

    def __init__(
        self,
        wanted: Destination | None,
        speaks: Speaks,
        random: RandomSource | None,
        asker: str = "",
    ) -> None:
        """`random` draws among SRV records; None: the same order every time."""
        self.asker = asker
        """In whose share of the questions it looks."""
        self.has_no_room = False
        """Whether it found nothing because there were too many questions."""
        self._wanted = wanted
        self._speaks = speaks
        self._transports = frozenset(transport for transport, _ in speaks)
        self._random = random
        self._hosts: list[Host] | None = None
        self._next_host = 0
        self._seen: set[Candidate] = set()
        self.ready: list[Candidate] = []
        """Candidates whose address is known, the next one last."""
        self.known: dict[Question, Answer] = {}
        """Answers that came to this search: they hold for it even where they may not be kept."""
        self.open: set[Question] = set()
        """Questions it waits for."""
        self.current: Candidate | None = None
        """The server that is being tried."""
        self.tried = False
        self.last_resort: Candidate | None = None
        """A dead server, for when all are."""

    def advance(self, known: Known) -> list[Question]:
        """Go on until a candidate is ready; what must be known for that, or nothing more to try."""
        while not self.ready:
            if self._hosts is None:
                missing = self._find_hosts(known)
            elif self._next_host < len(self._hosts):
                missing = self._find_addresses(self._hosts[self._next_host], known)
            else:
                return []
            if missing:
                return missing
        return []

    def take(self) -> Candidate | None:
        """The next candidate, None when there is none left (after `advance`)."""
        return self.ready.pop() if self.ready else None

    # --- hosts -------------------------------------------------------------------------------
    def _find_hosts(self, known: Known) -> list[Question]:
        wanted = self._wanted
        if wanted is None or wanted.leads_nowhere:
            return self._found([])
        transport = wanted.transport
        if transport is None and (wanted.is_numeric or wanted.port is not None):
            transport = "TLS" if wanted.secure else "UDP"
        if transport is None:
            return self._by_naptr(wanted, known)
        if transport not in self._transports:
            return self._found([])
        if wanted.is_numeric or wanted.port is not None or transport not in _SRV_PREFIXES:
            return self._found([(transport, wanted.host, wanted.port or DEFAULT_PORTS[transport])])
        return self._by_srv([(transport, _SRV_PREFIXES[transport] + wanted.host)], wanted, known)

    def _found(self, hosts: list[Host]) -> list[Question]:
        self._hosts = hosts[:MAX_HOSTS]
        return []

    def _by_naptr(self, wanted: Destination, known: Known) -> list[Question]:
        question = (wanted.host, "NAPTR")
        answer = known(question)
        if answer is None:
            return [question]
        # Where nobody knows, the SRV records may still say it all.
        pairs = self._services(answer.naptr, wanted.secure)
        if not pairs:
            pairs = [
                (transport, prefix + wanted.host)
                for transport, prefix in _SRV_PREFIXES.items()
                if transport in self._transports and (transport in SECURE or not wanted.secure)
            ]
        return self._by_srv(pairs, wanted, known)

    def _services(self, records: tuple[Naptr, ...], secure: bool) -> list[tuple[str, str]]:
        """(transport, name of its SRV records) of the first order that has any for us."""
        pairs: list[tuple[str, str]] = []
        order: int | None = None
        for record in by_order_and_preference(records):
            transport = _SERVICES.get(record.service.upper())
            if transport not in self._transports or record.flags.lower() != "s":
                continue
            if record.regexp or not record.replacement:
                continue
            if secure and transport not in SECURE:
                continue
            if order is not None and record.order != order:
                break  # RFC 3403 §4.1: what stands behind a match is not looked at
            order = record.order
            pairs.append((transport, record.replacement))
            if len(pairs) == MAX_SERVICES:
                break
        return pairs

    def _by_srv(
        self, pairs: list[tuple[str, str]], wanted: Destination, known: Known
    ) -> list[Question]:
        """The hosts of the first transport that has SRV records, else the name itself."""
        questions = [(name, "SRV") for _, name in pairs]
        missing = [question for question in dict.fromkeys(questions) if known(question) is None]
        if missing:
            return missing
        for (transport, _), question in zip(pairs, questions, strict=True):
            answer = known(question)
            assert answer is not None
            hosts = [
                (transport, record.target, record.port)
                for record in in_order(answer.srv, self._random)
            ]
            if hosts:
                return self._found(hosts)
        if not pairs:
            return self._found([])
        usual = self._usual_transport(pairs, wanted)
        answer = known(questions[[transport for transport, _ in pairs].index(usual)])
        assert answer is not None
        if answer.srv or answer.failed:
            # A target of "." alone: decidedly not there (RFC 2782). And that nobody knows does not
            # mean that there are none.
            return self._found([])
        return self._found([(usual, wanted.host, DEFAULT_PORTS[usual])])

    def _usual_transport(self, pairs: list[tuple[str, str]], wanted: Destination) -> str:
        usual = wanted.transport or ("TLS" if wanted.secure else "UDP")
        transports = [transport for transport, _ in pairs]
        return usual if usual in transports else transports[0]

    # --- addresses -----------------------------------------------------------------------------
    def _find_addresses(self, host: Host, known: Known) -> list[Question]:
        transport, name, port = host
        if len(self._seen) >= MAX_SERVERS:
            self._next_host = MAX_HOSTS
            return []
        if is_address(name):
            addresses = [name]
        else:
            questions = [
                (name, kind)
                for kind, ipv6 in (("AAAA", True), ("A", False))
                if (transport, ipv6) in self._speaks
            ]
            missing = [question for question in questions if known(question) is None]
            if missing:
                return missing
            addresses = []
            for question in questions:
                answer = known(question)
                assert answer is not None
                addresses += answer.addresses[:MAX_SERVERS]
        self._next_host += 1
        assert self._wanted is not None
        for address in by_precedence(addresses, fixed=self._random is None):
            candidate = Candidate(transport, address, port, self._wanted.domain)
            if len(self._seen) >= MAX_SERVERS:
                break
            if (transport, ":" in address) in self._speaks and candidate not in self._seen:
                self._seen.add(candidate)
                self.ready.insert(0, candidate)
        return []
