"""CPU per byte of hostile input: `python -m tests.load.parse_cost`.

Each shape is made in four sizes and read twice: with all limits lifted, where the cost of a byte
must stay the same however many there are, and with the limits a server runs with, where most of it
is refused early. The last column is the dearest byte over the one of the smallest size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message import (
    DEFAULT_LIMITS,
    Limits,
    Message,
    StreamFramer,
    parse_auth_params,
    parse_message,
    parse_uri,
)

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
LEAST_S: Final = 0.2
"""Small inputs are read again and again for so long."""
NEVER: Final = 1 << 40
LIFTED: Final = Limits(*(NEVER,) * 8)

HEAD: Final = (
    b"OPTIONS sip:anna@campus.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    b"From: <sip:bob@campus.example>;tag=1\r\nTo: <sip:anna@campus.example>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n"
)
END: Final = b"\r\n\r\n"


def filled(before: bytes, piece: bytes, after: bytes = b"") -> Callable[[int], bytes]:
    """A message that is brought to its size by repeating a piece in its header."""
    return lambda size: HEAD + before + piece * (size // len(piece)) + after + END


def halves(first: bytes, second: bytes) -> Callable[[int], bytes]:
    """A message with as many of one row as of the other, all of the first before the others."""
    return lambda size: HEAD + (first * (n := size // len(first + second)) + second * n)[:-2] + END


def bare(piece: bytes, start: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: start + piece * (size // len(piece))


def read(data: bytes, limits: Limits) -> None:
    """As a datagram: parsed, and every value looked at."""
    try:
        message = parse_message(data, limits)
    except MalformedMessage as error:
        if error.partial is not None:
            error.partial.respond(error.status).to_bytes()
        return
    look_at(message)
    message.to_bytes()


def look_at(message: Message) -> None:
    for key in dict.fromkeys(message.keys):
        try:
            message.values(key)
        except MalformedMessage:
            continue
    for look in LOOKS:
        try:
            look(message)
        except MalformedMessage:
            continue


LOOKS: Final[tuple[Callable[[Message], object], ...]] = (
    lambda m: m.via,
    lambda m: m.from_.params,
    lambda m: m.to.uri,
    lambda m: [contact.params for contact in m.contacts],
    lambda m: [parse_uri(route.uri_text) for route in m.routes],
    lambda m: [parse_auth_params(row) for row in m.rows("authorization")],
    lambda m: m.expires,
)


def frame(step: int) -> Callable[[bytes, Limits], None]:
    """As a stream that comes in pieces of this size."""

    def run(data: bytes, limits: Limits) -> None:
        framer = StreamFramer(limits)
        try:
            for at in range(0, len(data), step):
                framer.feed(data[at : at + step])
        except MalformedMessage:
            return

    return run


SHAPES: Final[dict[str, tuple[Callable[[int], bytes], Callable[[bytes, Limits], None]]]] = {
    "many headers": (filled(b"X-A: b", b"\r\nX-A: b"), read),
    "many names": (
        lambda n: HEAD + b"\r\n".join(b"X-%d: b" % i for i in range(n // 12)) + END,
        read,
    ),
    "Vias, then as many From": (halves(b"v:a\r\n", b"f:a\r\n"), read),
    "one long header": (filled(b"X-A: ", b"a"), read),
    "bytes that are no UTF-8": (filled(b"X-A: ", b"\xff"), read),
    "deep folds": (filled(b"X-A: b", b"\r\n b"), read),
    "parameters": (filled(b"Contact: <sip:a@b>", b";a=b"), read),
    "parameters in quotes": (filled(b"Contact: <sip:a@b>", b';a="b"'), read),
    "URI parameters": (filled(b"Route: <sip:a@b", b";%61=b", b">"), read),
    "commas": (filled(b"Contact: a", b","), read),
    "contacts": (filled(b"Contact: <sip:a@b>", b",<sip:a@b>"), read),
    "quotes, last one never closed": (filled(b'Contact: "', b'"a,"'), read),
    "backslashes, quote never closed": (filled(b'Contact: "', b"\\"), read),
    "escaped quotes, never closed": (filled(b'Contact: "', b'\\"'), read),
    "brackets never closed": (filled(b"Contact: ", b"<,"), read),
    "credentials": (filled(b"Authorization: Digest a=b", b',a="b"'), read),
    "credentials without '='": (filled(b"Authorization: Digest a", b',"'), read),
    "CRLFs": (bare(b"\r\n"), frame(4096)),
    "CRLFs byte by byte": (bare(b"\r\n"), frame(1)),
    "many small messages": (bare(HEAD + b"\r\n"), frame(4096)),
    "one header block in chunks of 1": (filled(b"X-A: ", b"a"), frame(1)),
    "one header block in chunks of 7, CRs": (filled(b"X-A: ", b"\r\n\r"), frame(7)),
    "Content-Length rows": (filled(b"l: 0", b"\r\nl: 0"), frame(4096)),
    "a body in chunks of 1": (
        lambda n: HEAD.replace(b"h: 0", b"h: %d" % n) + b"\r\n" + b"a" * n,
        frame(1),
    ),
}


def cost(run: Callable[[bytes, Limits], None], data: bytes, limits: Limits) -> float:
    """Nanoseconds of CPU per byte: the best of some runs."""
    best = float("inf")
    spent = 0.0
    while spent < LEAST_S:
        start = time.process_time()
        run(data, limits)
        took = time.process_time() - start
        best, spent = min(best, took), spent + max(took, 1e-6)
    return best * 1e9 / len(data)


def main() -> None:
    sizes = [
        f"{size // 1000:,} KB" if size < 1_000_000 else f"{size // 1_000_000} MB" for size in SIZES
    ]
    for title, limits in (("limits lifted", LIFTED), ("a server's limits", DEFAULT_LIMITS)):
        print(f"| ns per byte, {title} | {' | '.join(sizes)} | dearest / first |")
        print("|---" * (len(SIZES) + 2) + "|")
        for name, (make, run) in SHAPES.items():
            costs = [cost(run, make(size), limits) for size in SIZES]
            cells = " | ".join(f"{c:.2f}" for c in costs)
            print(f"| {name} | {cells} | {max(costs) / costs[0]:.1f} |", flush=True)
        print()


if __name__ == "__main__":
    main()
