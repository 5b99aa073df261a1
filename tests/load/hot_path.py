"""The worker alone, without sockets: `python -m tests.load.hot_path [--profile] [N] [operation…]`.

Phones play the bench's operations (refresh, message, call) against a worker in memory, N of each,
and see that every answer is what it should be. Then the same bytes are given to a second worker:
that is what is measured, and what the phones do is not in it. Prints microseconds of CPU, or with
`--profile` where they go. `make instructions` runs this file by itself under callgrind, which
counts from one `mark` to the next. The figures beside Kamailio are `make bench`'s.
"""

from __future__ import annotations

import cProfile
import gc
import os
import pstats
import sys
import time
from collections.abc import Callable
from hashlib import md5
from random import Random
from typing import Any, Final

# The tree that is measured may be another commit's: what is asked of it stands in these imports and
# in `Node`. All the rest deals in bytes, and reads them with `parse_message`.
from sipcore.bindings import BindingTable, MemoryBindingStore
from sipcore.directory import Account, Device, Directory, Domain, DomainAddress
from sipcore.eventlog import encode_line, json_line
from sipcore.message import parse_auth_params, parse_message
from sipcore.node.worker import Worker
from sipcore.transport.flow import Flow

try:
    from sipcore.apps.config import Listener, WorkerConfig
    from sipcore.campus import CampusService
except ImportError:  # their places up to 50003f1: goes when no commit so old is measured any more
    from sipcore.apps.campus import CampusService
    from sipcore.node.config import Listener, WorkerConfig

DOMAIN: Final = "bench.example"
USERS: Final = 100
SERVER: Final = ("127.0.0.1", 5060)
CALLER: Final = Flow("UDP", SERVER, ("127.0.0.1", 19070))
CALLEE: Final = Flow("UDP", SERVER, ("127.0.0.1", 19060))
SDP: Final = (
    "v=0\r\no=- 3900000000 3900000000 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 9 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
SDP_ROWS: Final = (
    "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE\r\nContent-Type: application/sdp\r\n"
)
TEXT: Final = "The lecture moved to room 101 at 14:00, please tell the others."

STEP_S: Final = 0.001
"""From one message to the next."""
ANSWER_S: Final = 0.160
"""How long a phone takes to ring: the caller's INVITE gets our 100."""
PAUSE_S: Final = 0.5
"""From one operation to the next: those of half a minute are remembered at a time."""
LEAST_TIMER_S: Final = 0.010
"""As the node does it: timers that come closer than that are fired together."""
OVER_S: Final = 300.0
"""After so long a worker has let go of everything that is over."""
WARM_UP: Final = 50
"""Operations before those that are measured: caches are full, code is specialized."""

Turn = tuple[bytes, Flow, float]
"""A message, where it comes from, and when; an empty one lets time pass until then."""


class Node:
    """What the node does around a worker, but for sockets and files: the side that is measured."""

    def __init__(self) -> None:
        accounts, addresses = [], []
        for i in range(1, USERS + 1):
            key = md5(f"u{i}:{DOMAIN}:s{i}".encode(), usedforsecurity=False).hexdigest().encode()
            accounts.append(Account(i, f"u{i}", DOMAIN, devices=(Device(i, key, key * 2),)))
            addresses.append(DomainAddress(DOMAIN, f"u{i}", i))
        directory = Directory(
            version=1,
            realm=DOMAIN,
            domains=[Domain(DOMAIN, ("MD5",))],
            accounts=accounts,
            addresses=addresses,
        )
        config = WorkerConfig(
            node="bench",
            cluster_keys=(b"k" * 32,),
            listeners=(Listener("UDP", SERVER, SERVER),),
            own_hosts=frozenset({"127.0.0.1"}),
        )
        self.worker = Worker(config, directory, BindingTable(), Random(1), CampusService)
        self.store = MemoryBindingStore()
        self.lines = 0
        """Records written."""
        self.sent = 0
        """Messages sent."""
        self.written = 0
        """Bytes of spool and journal."""

    def receive(self, data: bytes, flow: Flow, now: float) -> list[tuple[Flow, bytes]]:
        """A turn of one message; what is sent in it."""
        self.worker.receive(data, flow, now, 1e9 + now)
        return self.flush(now)

    def wait(self, until: float) -> list[tuple[Flow, bytes]]:
        """The turns of the timers up to then; what is sent in them."""
        sends = []
        now = 0.0
        while (deadline := self.worker.next_deadline()) is not None and deadline <= until:
            now = max(deadline, now + LEAST_TIMER_S)
            self.worker.advance(now, 1e9 + now)
            sends += self.flush(now)
        return sends

    def flush(self, now: float) -> list[tuple[Flow, bytes]]:
        """The end of a turn: spool, journal, the location store, and what there is to send."""
        out = self.worker.take()
        if out.records or out.journal:
            self.write(out.records, out.journal)
        self.sent += len(out.sends)
        if out.writes:
            results = self.store.commit(out.writes)
            pairs = [(c.line_id, r) for c, r in zip(out.writes, results, strict=True)]
            self.worker.stored(pairs, now, 1e9 + now)
            return out.sends + self.flush(now)
        return out.sends

    def write(self, records: list[Any], rows: list[dict[str, Any]]) -> None:
        """Records and journal rows as they go to their files."""
        lines = []
        for record in records:
            self.lines += 1
            lines.append(encode_line(self.lines, record))
        self.written += len(b"".join(lines)) + len(b"".join(map(json_line, rows)))

    def settle(self, now: float) -> None:
        """Let everything come to its end; nothing may be left."""
        sends = self.wait(now)
        self.worker.sweep(now, 1e9 + now)
        sends += self.flush(now)
        worker = self.worker
        left = (len(worker.transactions), len(worker.calls), worker.next_deadline(), sends)
        assert left == (0, 0, None, []), left
        assert worker.idle, worker

    def play(self, turns: list[Turn], end: float) -> None:
        """What the phones did, once more."""
        for data, flow, now in turns:
            if data:
                self.receive(data, flow, now)
            else:
                self.wait(now)
        self.settle(end)


class WatchedNode(Node):
    """Keeps the records: kind and fields."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[str, dict[str, Any]]] = []

    def write(self, records: list[Any], rows: list[dict[str, Any]]) -> None:
        self.records += [(str(record.kind), record.fields) for record in records]
        super().write(records, rows)


class Phones:
    """A caller and a callee that say what SIPp says, and note what they gave the worker."""

    def __init__(self) -> None:
        self.node = WatchedNode()
        self.now = 0.0
        self.n = 0
        self.call = ""
        self.turns: list[Turn] = []
        self.heard: list[str] = []
        """Status or method of all that the worker sent."""

    # --- what passes between them and the worker ---------------------------------------------
    def give(self, text: str, flow: Flow, expected: str = "") -> bytes:
        """One message in; the one that must come out begins so ("": none comes)."""
        self.now += STEP_S
        data = text.encode()
        self.turns.append((data, flow, self.now))
        back = CALLER if text.startswith("SIP/2.0 ") else flow
        return self._only(self.node.receive(data, flow, self.now), expected, back)

    def wait(self, seconds: float, expected: str = "") -> None:
        """Let time pass; `expected` as in `give`."""
        self.now += seconds
        self.turns.append((b"", CALLER, self.now))
        self._only(self.node.wait(self.now), expected)

    def settle(self) -> tuple[list[Turn], float]:
        """Let the worker come to rest; the turns up to here, and when it was at rest."""
        self.now += OVER_S
        self.node.settle(self.now)
        turns, self.turns = self.turns, []
        return turns, self.now

    def _only(
        self, sends: list[tuple[Flow, bytes]], expected: str, back: Flow = CALLER
    ) -> bytes:
        for _, data in sends:
            words = data.split(b" ", 2)
            self.heard.append(words[words[0] == b"SIP/2.0"].decode())
        if not expected:
            assert not sends, sends
            return b""
        [(flow, data)] = sends
        assert data.startswith(expected.encode()), data
        assert flow == (back if data.startswith(b"SIP/2.0 ") else CALLEE), flow
        return data

    # --- operations -----------------------------------------------------------------------------
    def refresh(self, user: int) -> None:
        """REGISTER, 401, REGISTER, 200."""
        self.begin("r")
        uri = f"sip:{DOMAIN}"
        contact = f"Contact: <sip:u{user}@127.0.0.1:19060>\r\nExpires: 3600\r\nUser-Agent: sipp\r\n"
        first = self.request("REGISTER", uri, user, user, f"CSeq: 1 REGISTER\r\n{contact}")
        challenge = self.give(first, CALLEE, "SIP/2.0 401 ")
        auth = f"Authorization: {credentials(challenge, 'REGISTER', user)}\r\n"
        rows = f"CSeq: 2 REGISTER\r\n{auth}{contact}"
        self.give(self.request("REGISTER", uri, user, user, rows), CALLEE, "SIP/2.0 200 ")

    def message(self, user: int) -> None:
        """MESSAGE, 407, MESSAGE relayed, 200."""
        self.begin("m")
        other = user % USERS + 1
        uri = f"sip:u{other}@{DOMAIN}"
        rows = "User-Agent: sipp\r\nContent-Type: text/plain\r\n"
        first = self.request("MESSAGE", uri, user, other, f"CSeq: 1 MESSAGE\r\n{rows}", TEXT)
        challenge = self.give(first, CALLER, "SIP/2.0 407 ")
        auth = f"Proxy-Authorization: {credentials(challenge, 'MESSAGE', user)}\r\n"
        rows = f"CSeq: 2 MESSAGE\r\n{auth}{rows}"
        second = self.request("MESSAGE", uri, user, other, rows, TEXT)
        relayed = self.give(second, CALLER, "MESSAGE ")
        self.give(answer_to(relayed, 200), CALLEE, "SIP/2.0 200 ")

    def place_call(self, user: int) -> None:
        """INVITE, 407, ACK, INVITE, 100 of both sides, 180, 200, ACK, BYE, 200."""
        self.begin("c")
        other = user % USERS + 1
        uri = f"sip:u{other}@{DOMAIN}"
        contact = f"Contact: <sip:u{user}@127.0.0.1:19070>\r\nUser-Agent: sipp\r\n{SDP_ROWS}"
        first = self.request("INVITE", uri, user, other, f"CSeq: 1 INVITE\r\n{contact}", SDP)
        challenge = self.give(first, CALLER, "SIP/2.0 407 ")
        tag = parse_message(challenge).to_tag
        self.n -= 1  # the ACK of a 407 has its INVITE's branch
        self.give(self.request("ACK", uri, user, other, "CSeq: 1 ACK\r\n", to_tag=tag), CALLER)
        auth = f"Proxy-Authorization: {credentials(challenge, 'INVITE', user)}\r\n"
        rows = f"CSeq: 2 INVITE\r\n{auth}{contact}"
        second = self.request("INVITE", uri, user, other, rows, SDP)
        relayed = self.give(second, CALLER, "INVITE ")
        self.give(answer_to(relayed, 100), CALLEE)
        self.wait(ANSWER_S, "SIP/2.0 100 ")
        self.give(answer_to(relayed, 180), CALLEE, "SIP/2.0 180 ")
        answer = parse_message(self.give(answer_to(relayed, 200, SDP), CALLEE, "SIP/2.0 200 "))
        route = f"Route: {answer.record_routes[0]}\r\n"
        target, tag = answer.contacts[0].uri_text, answer.to_tag
        ack = self.request("ACK", target, user, other, f"{route}CSeq: 2 ACK\r\n", to_tag=tag)
        self.give(ack, CALLER, "ACK ")
        bye = self.request("BYE", target, user, other, f"{route}CSeq: 3 BYE\r\n", to_tag=tag)
        relayed = self.give(bye, CALLER, "BYE ")
        self.give(answer_to(relayed, 200), CALLEE, "SIP/2.0 200 ")

    def begin(self, letter: str) -> None:
        """A new Call-ID, a while after what was before."""
        self.wait(PAUSE_S)
        self.call = f"{letter}{self.n:06}"

    def request(
        self,
        method: str,
        uri: str,
        user: int,
        other: int,
        rows: str,
        body: str = "",
        to_tag: str = "",
    ) -> str:
        """A request as SIPp writes it."""
        self.n += 1
        tag = to_tag and f";tag={to_tag}"
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:19070;branch=z9hG4bK-{self.n:06};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:u{user}@{DOMAIN}>;tag=1{self.call}\r\n"
            f"To: <sip:u{other}@{DOMAIN}>{tag}\r\nCall-ID: {self.call}-bench@127.0.0.1\r\n{rows}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )


def credentials(answer: bytes, method: str, user: int) -> str:
    """The Authorization value for a challenge."""
    response = parse_message(answer)
    row = (response.first("www-authenticate") or response.first("proxy-authenticate")) or ""
    nonce = parse_auth_params(row)["nonce"]
    ha1 = md5(f"u{user}:{DOMAIN}:s{user}".encode()).hexdigest()
    ha2 = md5(f"{method}:sip:{DOMAIN}".encode()).hexdigest()
    digest = md5(f"{ha1}:{nonce}:00000001:6b8b4567:auth:{ha2}".encode()).hexdigest()
    return (
        f'Digest username="u{user}",realm="{DOMAIN}",cnonce="6b8b4567",nc=00000001,qop=auth,'
        f'uri="sip:{DOMAIN}",nonce="{nonce}",response="{digest}",algorithm=MD5'
    )


def answer_to(request: bytes, status: int, body: str = "") -> str:
    """The callee's answer, as SIPp writes it."""
    lines = request.decode().split("\r\n\r\n")[0].split("\r\n")[1:]
    names = ("via:", "from:", "call-id:", "cseq:", "record-route:")
    rows = [line for line in lines if line.lower().startswith(names)]
    to = next(line for line in lines if line.lower().startswith("to:"))
    rows.append(to if ";tag=" in to else f"{to};tag=callee")
    rows.append("Contact: <sip:callee@127.0.0.1:19060>")
    extra = SDP_ROWS if body else ""
    head = "\r\n".join([f"SIP/2.0 {status} Fine", *rows, f"{extra}Content-Length: {len(body)}"])
    return f"{head}\r\n\r\n{body}"


OPERATIONS: Final[dict[str, Callable[[Phones, int], None]]] = {
    "refresh": Phones.refresh,
    "message": Phones.message,
    "call": Phones.place_call,
}


def mark() -> None:
    """Where `make instructions` tells callgrind to begin a new count: nobody else asks for that."""
    os.getloadavg()


def measure(name: str, count: int, profile: cProfile.Profile | None = None) -> float:
    """CPU seconds of a worker for so many operations, from its rest to its rest."""
    operation = OPERATIONS[name]
    phones = Phones()
    for user in range(1, USERS + 1):
        phones.refresh(user)
    for i in range(WARM_UP):
        operation(phones, i % USERS + 1)
    before = phones.settle()
    for i in range(count):
        operation(phones, i % USERS + 1)
    measured = phones.settle()
    node = Node()
    node.play(*before)
    if profile is not None:
        profile.enable()
    start = time.thread_time()
    mark()
    node.play(*measured)
    mark()
    spent = time.thread_time() - start
    if profile is not None:
        profile.disable()
    first = phones.node
    did, should = (node.sent, node.written), (first.sent, first.written)
    assert did == should, (did, should)
    return spent


def main() -> None:
    """Measure each operation."""
    words = [word for word in sys.argv[1:] if word != "--profile"]
    numbers = [int(word) for word in words if word.isdigit()]
    count = numbers[0] if numbers else 3000
    gc.disable()  # what it finds is nothing (docs/benchmarks.md); when it looks would be chance
    for name in [word for word in words if word in OPERATIONS] or OPERATIONS:
        profile = cProfile.Profile() if "--profile" in sys.argv else None
        spent = measure(name, count, profile)
        print(f"{name:8} {spent / count * 1e6:7.1f} us")
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(32)


if __name__ == "__main__":
    main()
