"""The floods: what strangers send, made before a step begins, and the process that sends it."""

from __future__ import annotations

import errno
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from typing import Final

ONE: Final = "one source"
A_NETWORK: Final = "250 of one /24"
RANDOM: Final = "random sources"
SOURCES: Final = (ONE, A_NETWORK, RANDOM)
RANDOM_SOURCES: Final = 1000
"""Sockets with addresses from all of 127.0.0.0/8: nearly each in a /24 of its own."""
PORTION_S: Final = 0.005
"""The sender looks at its clock so often: what is due by then goes at once."""
OPEN_FILES: Final = 20_000
SDP: Final = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked. `nonce` is one that the server gave for `user` a moment ago."""

    host: str
    port: int
    tls_port: int
    user: str
    realm: str
    nonce: str

    @property
    def domain(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A flood. `wanted` is the rate per second that the service is to bear, 0 where none is set."""

    name: str
    make: Callable[[Target, int], bytes] | None
    wanted: int = 0
    stream: str = ""


def request(to: Target, n: int, method: str, uri: str, more: str = "", body: bytes = b"") -> bytes:
    """A request of a stranger, another one for each `n`."""
    number = "1 INVITE" if method == "CANCEL" else f"1 {method}"
    cseq = "1 CANCEL" if method == "CANCEL" else number
    head = (
        f"{method} {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.9.9.9:5060;rport;branch=z9hG4bK{n:x}f{to.port:x}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:x{n}@evil.example>;tag={n:x}\r\nTo: <{uri}>\r\n"
        f"Call-ID: {n:x}@evil\r\nCSeq: {cseq}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def options(to: Target, n: int) -> bytes:
    return request(to, n, "OPTIONS", f"sip:{to.domain}")


def credentials(user: str, realm: str, nonce: str, domain: str) -> str:
    """Credentials whose response is wrong."""
    return (
        f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", '
        f'uri="sip:{domain}", response="{"0" * 64}", algorithm=SHA-256, qop=auth, nc=00000001, '
        'cnonce="x"\r\n'
    )


def register(to: Target, n: int, user: str, nonce: str) -> bytes:
    more = credentials(user, to.realm, nonce, to.domain)
    more += "Contact: <sip:x@127.9.9.9:5060>\r\nExpires: 300\r\n"
    made = request(to, n, "REGISTER", f"sip:{to.domain}", more)
    return made.replace(b"To: <sip:", f"To: <sip:{user}@".encode(), 1)


def junk_register(to: Target, n: int) -> bytes:
    return register(to, n, f"nobody{n:x}", "x")


def wrong_register(to: Target, n: int) -> bytes:
    return register(to, n, to.user, to.nonce)


def invite(to: Target, n: int) -> bytes:
    more = "Contact: <sip:x@127.9.9.9:5060>\r\nContent-Type: application/sdp\r\n"
    return request(to, n, "INVITE", f"sip:{to.user}@{to.domain}", more, SDP)


def message(to: Target, n: int) -> bytes:
    return request(
        to, n, "MESSAGE", f"sip:{to.user}@{to.domain}", "Content-Type: text/plain\r\n", b"x"
    )


def unknown(to: Target, n: int) -> bytes:
    return request(to, n, f"FROB{n:X}", f"sip:{to.user}@{to.domain}")


def belongs_to_nothing(to: Target, n: int) -> bytes:
    """CANCEL, ACK and a response in turn."""
    uri = f"sip:{to.user}@{to.domain}"
    if n % 3 < 2:
        return request(to, n, ("CANCEL", "ACK")[n % 3], uri)
    _, _, rest = request(to, n, "INVITE", uri).partition(b"\r\n")
    return b"SIP/2.0 481 Gone\r\n" + rest


KINDS: Final = (
    Kind("OPTIONS", options, 5000),
    Kind("junk REGISTER, new names", junk_register, 5000),
    Kind("INVITE to one line", invite, 2000),
    Kind("REGISTER, wrong credentials", wrong_register),
    Kind("CANCEL, ACK, response junk", belongs_to_nothing),
    Kind("MESSAGE to one line", message),
    Kind("unknown methods", unknown),
    Kind("silent TCP", None, stream="TCP"),
    Kind("silent TLS", None, stream="TLS"),
)


def addresses(sources: str) -> list[str]:
    """Where a flood comes from. None is in the /24 of the registered phones."""
    if sources == ONE:
        return ["127.77.7.7"]
    if sources == A_NETWORK:
        return [f"127.78.8.{last}" for last in range(1, 251)]
    draw = random.Random(1)
    return [
        f"127.{draw.randrange(100, 250)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"
        for _ in range(RANDOM_SOURCES)
    ]


def send_flood(
    kind: Kind, sources: str, to: Target, rate: int, seconds: float, first: int, say: Connection
) -> None:
    """Body of the sending process: says "ready", waits for a word, sends, says how many went."""
    allowed = min(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    hosts = addresses(sources)
    kept: list[socket.socket] = []
    if kind.make is None:
        port = to.port if kind.stream == "TCP" else to.tls_port
        step = connecting((to.host, port), hosts, kept)
    else:
        made = [kind.make(to, first + n) for n in range(int(rate * seconds))]
        step = sending(made, hosts, (to.host, to.port))
    say.send("ready")
    say.recv()
    say.send(paced(step, rate, seconds))
    say.recv()
    say.send(sum(map(is_open, kept)))
    say.recv()  # connections stay open until the server was looked at


def paced(step: Iterator[int], rate: int, seconds: float) -> int:
    """Take a step so often a second; how many datagrams or connections went in this time."""
    began, due, gone = time.monotonic(), 0, 0
    while (passed := time.monotonic() - began) < seconds:
        now_due = int(passed * rate)
        gone += sum(islice(step, now_due - due))
        due = now_due
        time.sleep(PORTION_S)
    return gone


def sending(made: list[bytes], hosts: list[str], to: tuple[str, int]) -> Iterator[int]:
    """Sends one with each step; 0 where it did not go."""
    sockets = [connected(host, to) for host in hosts]
    for sock, data in zip(cycle(sockets), made, strict=False):
        gone = 0
        with suppress(OSError):  # no room, or an ICMP error for what was sent before
            gone = int(sock.send(data) > 0)
        yield gone


def connected(host: str, to: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # nobody reads the answers
    sock.bind((host, 0))
    sock.connect(to)
    sock.setblocking(False)
    return sock


def connecting(to: tuple[str, int], hosts: list[str], kept: list[socket.socket]) -> Iterator[int]:
    """Connections that say nothing; `kept` gets them, and has them open until the process ends."""
    for source in cycle(hosts):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        kept.append(sock)
        sock.bind((source, 0))
        sock.setblocking(False)
        yield int(sock.connect_ex(to) in {0, errno.EINPROGRESS})


def is_open(sock: socket.socket) -> bool:
    """Whether the server took the connection and still has it."""
    try:
        return sock.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        with suppress(OSError):
            return bool(sock.getpeername())
    except OSError:
        pass
    return False
