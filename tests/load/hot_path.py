"""CPU of the worker alone, without sockets: `python -m tests.load.hot_path [--profile] [N]`.

Plays the bench's operations (refresh, message, call) against one worker in memory and prints
microseconds for each. For finding what to make faster; the figures that count are `make bench`'s.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections.abc import Callable
from hashlib import md5
from random import Random

from sipcore.apps.campus import CampusService
from sipcore.bindings import BindingTable, MemoryBindingStore
from sipcore.directory import Account, Device, Directory, Domain, DomainAddress
from sipcore.message import parse_auth_params, parse_message
from sipcore.node.config import Listener, WorkerConfig
from sipcore.node.turn import Outputs
from sipcore.node.worker import Worker
from sipcore.transport.flow import Flow

DOMAIN = "bench.example"
SERVER = ("127.0.0.1", 5060)
CALLER = Flow("UDP", SERVER, ("127.0.0.1", 19070))
CALLEE = Flow("UDP", SERVER, ("127.0.0.1", 19060))
SDP = (
    "v=0\r\no=- 3900000000 3900000000 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 9 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)


class Bench:
    """One worker, its store, and a caller and a callee that say what SIPp says."""

    def __init__(self) -> None:
        accounts, addresses = [], []
        for i in range(1, 101):
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
        self.worker = Worker(
            config, directory, BindingTable(), Random(1), lambda w: CampusService(w)
        )
        self.store = MemoryBindingStore()
        self.now = 0.0
        self.n = 0
        self.spent = 0.0

    def give(self, text: str, flow: Flow) -> list[tuple[Flow, bytes]]:
        """One message in; what is sent out of it."""
        self.now += 0.001
        data = text.encode()
        start = time.thread_time()
        self.worker.receive(data, flow, self.now, 1e9 + self.now)
        sends = self._take().sends
        self.spent += time.thread_time() - start
        return sends

    def _take(self) -> Outputs:
        out = self.worker.take()
        if out.writes:
            results = self.store.commit(out.writes)
            pairs = [(c.line_id, r) for c, r in zip(out.writes, results, strict=True)]
            self.worker.stored(pairs, self.now, 1e9 + self.now)
            out.sends += self.worker.take().sends
        deadline = self.worker.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.worker.advance(self.now, 1e9 + self.now)
            out.sends += self.worker.take().sends
        return out

    def request(self, method: str, user: int, uri: str, to: str, extra: str, body: str = "") -> str:
        """A request as SIPp writes it."""
        self.n += 1
        return (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:19070;branch=z9hG4bK-{self.n};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:u{user}@{DOMAIN}>;tag=1c{self.call}\r\nTo: <{to}>\r\n"
            f"Call-ID: {self.call}-bench@127.0.0.1\r\n{extra}User-Agent: sipp-bench\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def credentials(self, answer: bytes, method: str, user: int) -> str:
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

    def refresh(self, user: int) -> None:
        """REGISTER, 401, REGISTER, 200."""
        self.call = f"r{self.n}"
        contact = f"Contact: <sip:u{user}@127.0.0.1:19060>\r\nExpires: 3600\r\n"
        to = f"sip:u{user}@{DOMAIN}"
        first = self.request(
            "REGISTER", user, f"sip:{DOMAIN}", to, f"CSeq: 1 REGISTER\r\n{contact}"
        )
        [(_, challenge)] = self.give(first, CALLER)
        auth = f"Authorization: {self.credentials(challenge, 'REGISTER', user)}\r\n"
        second = self.request(
            "REGISTER", user, f"sip:{DOMAIN}", to, f"CSeq: 2 REGISTER\r\n{auth}{contact}"
        )
        [(_, answer)] = self.give(second, CALLER)
        assert answer.startswith(b"SIP/2.0 200"), answer

    def message(self, user: int) -> None:
        """MESSAGE, 407, MESSAGE relayed, 200."""
        self.call = f"m{self.n}"
        to = f"sip:u{user}@{DOMAIN}"
        first = self.request("MESSAGE", user, to, to, "CSeq: 1 MESSAGE\r\n", "hello")
        [(_, challenge)] = self.give(first, CALLER)
        auth = f"Proxy-Authorization: {self.credentials(challenge, 'MESSAGE', user)}\r\n"
        second = self.request("MESSAGE", user, to, to, f"CSeq: 2 MESSAGE\r\n{auth}", "hello")
        [(_, relayed)] = self.give(second, CALLER)
        sent = self.give(answer_to(relayed, 200, ""), CALLEE)
        assert sent[0][1].startswith(b"SIP/2.0 200"), sent

    def place_call(self, user: int) -> None:
        """INVITE 407 ACK INVITE 180 200 ACK BYE 200."""
        self.call = f"c{self.n}"
        to = f"sip:u{user}@{DOMAIN}"
        contact = f"Contact: <sip:u{user}@127.0.0.1:19070>\r\nContent-Type: application/sdp\r\n"
        first = self.request("INVITE", user, to, to, f"CSeq: 1 INVITE\r\n{contact}", SDP)
        branch = self.n
        [(_, challenge)] = self.give(first, CALLER)
        ack = self.request("ACK", user, to, f"{to}>;tag=x;<", "CSeq: 1 ACK\r\n")
        ack = ack.replace(f"-{self.n};", f"-{branch};").replace(";<>", "")
        self.give(ack, CALLER)
        auth = f"Proxy-Authorization: {self.credentials(challenge, 'INVITE', user)}\r\n"
        second = self.request("INVITE", user, to, to, f"CSeq: 2 INVITE\r\n{auth}{contact}", SDP)
        [(_, relayed)] = self.give(second, CALLER)
        self.give(answer_to(relayed, 180, ""), CALLEE)
        [(_, ok)] = self.give(answer_to(relayed, 200, SDP), CALLEE)
        answer = parse_message(ok)
        route = f"Route: {answer.record_routes[0]}\r\n"
        target = answer.contacts[0].uri_text
        head, _, tail = self.request("ACK", user, target, to, f"{route}CSeq: 2 ACK\r\n").partition(
            f"To: <{to}>"
        )
        [_] = self.give(f"{head}To: <{to}>;tag=callee{tail}", CALLER)
        head, _, tail = self.request("BYE", user, target, to, f"{route}CSeq: 3 BYE\r\n").partition(
            f"To: <{to}>"
        )
        [(_, bye)] = self.give(f"{head}To: <{to}>;tag=callee{tail}", CALLER)
        sent = self.give(answer_to(bye, 200, ""), CALLEE)
        assert sent[0][1].startswith(b"SIP/2.0 200"), sent


def answer_to(request: bytes, status: int, body: str) -> str:
    """The callee's answer, as SIPp writes it."""
    lines = request.decode().split("\r\n\r\n")[0].split("\r\n")[1:]
    names = ("via:", "from:", "call-id:", "cseq:", "record-route:")
    rows = [line for line in lines if line.lower().startswith(names)]
    to = next(line for line in lines if line.lower().startswith("to:"))
    rows.append(to if ";tag=" in to else f"{to};tag=callee")
    rows.append("Contact: <sip:callee@127.0.0.1:19060>")
    head = "\r\n".join([f"SIP/2.0 {status} Fine", *rows, f"Content-Length: {len(body)}"])
    return f"{head}\r\n\r\n{body}"


def main() -> None:
    """Time each operation."""
    args = [a for a in sys.argv[1:] if a != "--profile"]
    count = int(args[0]) if args else 3000
    bench = Bench()
    for user in range(1, 101):
        bench.refresh(user)
    operations: list[tuple[str, Callable[[int], None]]] = [
        ("refresh", bench.refresh),
        ("message", bench.message),
        ("call", bench.place_call),
    ]
    for name, operation in operations:
        if len(args) > 1 and name != args[1]:
            continue
        profile = cProfile.Profile()
        if "--profile" in sys.argv:
            profile.enable()
        bench.spent = 0.0
        for i in range(count):
            operation(i % 100 + 1)
        profile.disable()
        print(f"{name:8} {bench.spent / count * 1e6:7.1f} us")
        if "--profile" in sys.argv:
            pstats.Stats(profile).sort_stats("tottime").print_stats(32)


if __name__ == "__main__":
    main()
