"""TLS: which certificates we show and trust, and one connection's half of the protocol.

All certificates lie in one folder, which is looked at while the node runs:

    NAME.pem          a certificate and those of its issuers; its private key too, or in NAME.key
    trusted/*.pem     authorities, or single certificates, that vouch for trusted peers

Each certificate is shown to those who ask for one of its names (SNI), `default.pem`, else the first
one by file name, to all others; `fallback.pem` counts last. What is changed there is in force for the next connection; those that
are open go on. Peers prove themselves by a client certificate: it is asked for where `trusted`
holds something, and a phone without one is welcome. Servers that we connect to are verified by
`trusted` and by the authorities of the system.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sipcore.node.limits import MAX_HANDSHAKE, MAX_READ
from sipcore.transport.flow import is_address
from sipcore.transport.identity import sip_identities

log = logging.getLogger("sipcore.node")

DEFAULT: Final = "default"
FALLBACK: Final = "fallback"


class NoCertificate(Exception):
    """A folder without a certificate that can be used; the text says what is wrong."""


class Contexts:
    """What a folder held at one moment, as the library wants it."""

    def __init__(
        self, server: ssl.SSLContext, client: ssl.SSLContext, names: frozenset[str]
    ) -> None:
        self.server = server
        self.client = client
        self.names = names
        """The SIP identities of all our certificates."""


def load(folder: Path) -> Contexts:
    """Read the folder. `NoCertificate` when one of its files cannot be used."""
    files = certificate_files(folder)
    if not files:
        raise NoCertificate(f"{folder} holds no certificate (NAME.pem)")
    authorities = sorted((folder / "trusted").glob("*.pem"))
    own = {path: _server_context(path, authorities) for path in files}
    by_name: dict[str, ssl.SSLContext] = {}
    names: set[str] = set()
    for path, context in own.items():
        certificate = _own_certificate(path, context)
        names.update(sip_identities(certificate))
        for kind, value in certificate.get("subjectAltName", ()):
            if kind == "DNS":
                by_name.setdefault(value.lower(), context)
        for name in sip_identities(certificate):
            by_name.setdefault(name, context)
    first = files[0]
    own[first].sni_callback = _chooser(by_name)
    return Contexts(own[first], _client_context(first, authorities), frozenset(names))


def certificate_files(folder: Path) -> list[Path]:
    """The certificates, the one for everybody first."""
    return sorted(
        folder.glob("*.pem"),
        key=lambda path: (path.stem != DEFAULT, path.stem == FALLBACK, path.name),
    )


def state_of(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Differs when a file came, went or changed."""
    found = []
    for path in sorted(
        [*folder.glob("*.pem"), *folder.glob("*.key"), *folder.glob("trusted/*.pem")]
    ):
        try:
            stat = path.stat()
        except OSError:
            continue  # going just now
        found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


class Certificates:
    """The folder's contexts, read again when something in it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state: object = None
        self.contexts: Contexts | None = None
        """None until the folder holds a certificate."""
        self.look()

    def look(self) -> bool:
        """Read the folder if it differs from what was read; True when new contexts are in force.

        What cannot be used changes nothing: a file may be half written, and is read again then.
        """
        state = state_of(self._folder)
        if state == self._state:
            return False
        self._state = state
        try:
            self.contexts = load(self._folder)
        except (NoCertificate, OSError) as error:
            log.error("TLS goes on as it was: %s", error)
            return False
        log.info("TLS certificates for %s", ", ".join(sorted(self.contexts.names)) or "nobody")
        return True


def _server_context(path: Path, authorities: list[Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_chain(context, path)
    if authorities:
        _trust(context, authorities)
        context.verify_mode = ssl.CERT_OPTIONAL
    return _hardened(context)


def _client_context(path: Path, authorities: list[Path]) -> ssl.SSLContext:
    """For connections of ours: the identity is checked by SIP's rules, after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    _trust(context, authorities)
    _load_chain(context, path)
    return _hardened(context)


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _trust(context: ssl.SSLContext, authorities: list[Path]) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a peer's own certificate will do
    for path in authorities:
        try:
            context.load_verify_locations(path)
        except (ssl.SSLError, ValueError) as error:
            raise NoCertificate(f"{path}: {_text(error)}") from None


def _load_chain(context: ssl.SSLContext, path: Path) -> None:
    key = path.with_suffix(".key")
    try:
        context.load_cert_chain(path, key if key.exists() else None, _no_password)
    except (ssl.SSLError, ValueError) as error:
        raise NoCertificate(f"{path}: {_text(error)}") from None


def _no_password() -> str:
    """Without this the library would ask at the terminal."""
    raise ValueError("the private key is encrypted")


def _text(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error)


def _own_certificate(path: Path, context: ssl.SSLContext) -> Mapping[str, Any]:
    """What one of our certificates says, as a peer that trusts it reads it.

    The library decodes a certificate only for who has verified it: so we shake hands with ourselves.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(path)
    one, other = TlsLayer(trusting, server_side=False), TlsLayer(context, server_side=True)
    try:
        one.start()
        for _ in range(4):
            other.receive(one.take())
            one.receive(other.take())
    except ssl.SSLError as error:
        log.error("%s is shown, but peers will refuse it: %s", path, error)
        return {}
    return one.peer_certificate()


def _chooser(by_name: Mapping[str, ssl.SSLContext]) -> Any:
    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        context = by_name.get((name or "").lower())
        if context is not None:
            connection.context = context

    return choose


class TlsLayer:
    """One connection: what arrives in, plain bytes out, and the other way round. No sockets."""

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, server_name: str = ""
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if not server_name or is_address(server_name.strip("[]")) else server_name
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=name
        )
        self._before = 0
        self.ready = False
        """Whether the handshake is done."""
        self.ended = False
        """Whether the other side has said that it sends nothing more."""

    def start(self) -> None:
        """Say the first word, as the side that opened the connection; then `take`."""
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """The plain bytes in what arrived. `ssl.SSLError` when the connection must end.

        After it there may be something to `take`: an answer, or the alert that says why.
        """
        self._incoming.write(data)
        if not self.ready:
            self._before += len(data)
            self._shake_hands()
            if not self.ready:
                if self._before > MAX_HANDSHAKE:
                    raise ssl.SSLError("the handshake does not end")
                return b""
        pieces = []
        try:
            while True:
                piece = self._object.read(MAX_READ)
                if not piece:
                    self.ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(pieces)

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True

    def send(self, data: bytes) -> bytes:
        """The bytes to put on the wire for these plain ones. Only when `ready`."""
        self._object.write(data)
        return self._outgoing.read()

    def take(self) -> bytes:
        """What must be put on the wire besides."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> bytes:
        """Our close_notify; b"" when there is nobody to say it to."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            pass
        return self.take()

    def peer_certificate(self) -> Mapping[str, Any]:
        """The other side's verified certificate; empty when it showed none."""
        return self._object.getpeercert() or {}

    @property
    def version(self) -> str:
        return self._object.version() or ""
