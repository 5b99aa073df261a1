"""Who we are: listeners, own names and domains, and the URIs, Vias and Routes that are made of them.

Pure: of the listeners, the names that mean this service, and the directory. A worker has one, an
edge or a simulator may have one without a worker.
"""

from __future__ import annotations

from dataclasses import dataclass

from sipcore.directory import Account, Directory
from sipcore.errors import MalformedMessage
from sipcore.message import BLANKS, Response, Uri, Via, parse_via
from sipcore.transport.flow import (
    DEFAULT_PORTS,
    Address,
    Flow,
    bracketed,
    canonical_host,
    same_host,
)


@dataclass(slots=True, frozen=True)
class Listener:
    """One socket the node listens on, and how the outside names it."""

    transport: str
    local: Address
    advertised: Address


class OwnAddresses:
    """What in a message means this service.

    `own_hosts` are hosts, apart from the domains, whose URIs mean it. `directory` is replaced with
    every new version.
    """

    def __init__(
        self, listeners: tuple[Listener, ...], own_hosts: frozenset[str], directory: Directory
    ) -> None:
        self.listeners = listeners
        self.own_hosts = own_hosts
        self._own_canonical = frozenset([canonical_host(host) for host in own_hosts])
        self.directory = directory
        self._by_socket = {(lt.transport, lt.local): lt for lt in listeners}
        self._via_heads = {(lt.transport, lt.local): _via_head(lt) for lt in listeners}
        self._via_starts = tuple(self._via_heads.values())
        self._route_heads = {
            (lt.transport, lt.local, secure): _route_head(lt.transport, lt.advertised, secure)
            for lt in listeners
            for secure in (False, True)
        }
        self._via_hosts = {lt.advertised[0].lower() for lt in listeners}
        self._ports = frozenset(
            port for lt in listeners for port in (lt.local[1], lt.advertised[1])
        )

    # --- URIs --------------------------------------------------------------------------------
    def domain_of(self, uri: Uri) -> str | None:
        """The domain of ours that this URI's host names; our addresses mean the first domain."""
        host = uri.host
        if host in self.directory.domains:
            return host
        if self._is_own_host(host):
            return self.directory.default_domain
        return None

    def _is_own_host(self, host: str) -> bool:
        """Whether this is one of `own_hosts`, however it is spelled."""
        return host in self.own_hosts or (
            ":" in host and canonical_host(host) in self._own_canonical
        )

    def is_ours(self, uri: Uri) -> bool:
        """Whether a URI's host and port are this service (not some phone on the same machine).

        A maddr of somebody else's has a request sent there, whatever the host says (§16.5).
        """
        host = uri.host
        if "maddr" in uri.params:
            host = (uri.params["maddr"] or "").lower()
        if not self._is_own_host(host) and host not in self.directory.domains:
            return False
        return uri.port is None or uri.port in self._ports

    def leads_back(self, uri: Uri) -> bool:
        """Whether a request to this URI would be sent to ourselves.

        A domain of ours without a port is looked up, and leads to us by its SRV records.
        """
        if not self.is_ours(uri):
            return False
        if uri.port is None and "maddr" not in uri.params and uri.host in self.directory.domains:
            return True
        return (uri.port or DEFAULT_PORTS.get(uri.transport or "UDP", 5060)) in self._ports

    def listens_at(self, host: str, port: int, transport: str) -> bool:
        """Whether this is one of our sockets, as the outside names them."""
        is_own = self._is_own_host(host) or host in self.directory.domains
        return is_own and any(
            transport == lt.transport and port in (lt.local[1], lt.advertised[1])
            for lt in self.listeners
        )

    def aor_of(self, uri: Uri) -> str:
        """The canonical address-of-record of a URI, aliases resolved; text for unknown ones."""
        domain = self.domain_of(uri)
        if domain is None:
            return f"{uri.user}@{uri.host}"
        account = self.account_of(uri)
        return account.aor if account is not None else f"{uri.user_decoded.lower()}@{domain}"

    def account_of(self, uri: Uri) -> Account | None:
        """The account of ours that holds the name or number of a SIP URI."""
        domain = self.domain_of(uri)
        return None if domain is None else self.directory.resolve(uri.user_decoded, domain)

    # --- sockets -----------------------------------------------------------------------------
    def has_socket(self, flow: Flow) -> bool:
        """Whether a flow is one of this node's."""
        return (flow.transport, flow.local) in self._by_socket

    def is_own_socket(self, transport: str, host: str, port: int) -> bool:
        """Whether this is an address that this node listens at; the host is an IP literal."""
        return any(
            transport == lt.transport
            and (
                (port == lt.local[1] and same_host(host, lt.local[0]))
                or (port == lt.advertised[1] and same_host(host, lt.advertised[0]))
            )
            for lt in self.listeners
        )

    def advertised(self, flow: Flow) -> Address:
        """How the outside names the socket of this flow."""
        listener = self._by_socket.get((flow.transport, flow.local))
        if listener is None:
            for listener in self.listeners:
                if listener.transport == flow.transport:
                    break
            else:
                return flow.local
        return listener.advertised

    def local_address(self, transport: str, ipv6: bool) -> Address:
        """The address we send from towards this kind of address; port 0 where there is none."""
        for listener in self.listeners:
            if listener.transport == transport and (":" in listener.local[0]) == ipv6:
                return listener.local
        return ("::" if ipv6 else "0.0.0.0", 0)  # noqa: S104 (no listener)

    def own_flow(self) -> Flow:
        """Stands for where a request of our own comes from: the first address we listen on."""
        listener = self.listeners[0]
        return Flow(listener.transport, listener.local, listener.local)

    # --- Vias --------------------------------------------------------------------------------
    def via_value(self, flow: Flow, branch: str) -> str:
        """Our Via for this flow (RFC 3261 §18.1.1)."""
        head = self._via_heads.get((flow.transport, flow.local))
        if head is None:
            host, port = self.advertised(flow)
            head = f"SIP/2.0/{flow.transport} {bracketed(host)}:{port};"
        return f"{head}branch={branch}"

    def is_to_us(self, response: Response) -> bool:
        """Whether the sent-by of the topmost Via is one that we write."""
        if (response.first("via") or "").startswith(self._via_starts):
            return True
        return self._wrote(response.via)  # as somebody re-printed it

    def _wrote(self, via: Via) -> bool:
        port = via.port or DEFAULT_PORTS.get(via.transport, 5060)
        return self.is_own_socket(via.transport, via.host.strip("[]").lower(), port)

    def own_branch(self, value: str) -> str:
        """The branch of a Via value that this node wrote, "" of another's.

        Whoever passed it on may have printed it anew (RFC 5393 §4.2 knows no bytes, only values).
        """
        if value.startswith(self._via_starts):
            _, found, rest = value.partition(";branch=")
            if found:
                return rest.partition(";")[0].rstrip(BLANKS)
        elif "[" not in value and not any(host in value.lower() for host in self._via_hosts):
            return ""
        try:
            via = parse_via(value)
        except MalformedMessage:
            return ""
        return via.branch if self._wrote(via) else ""

    # --- Routes ------------------------------------------------------------------------------
    def record_routes(
        self,
        incoming: Flow,
        outgoing: Flow,
        user: str = "",
        parameters: str = "",
        *,
        secure: bool = False,
        leaves_secure: bool = False,
    ) -> str:
        """Our Record-Route: one value, or two where the transport or the scheme changes (RFC 5658).

        `user` and `parameters` (with their semicolons) carry a token. `secure` tells whether the
        Request-URI is a sips URI, `leaves_secure` whether it is one or the next Route is: then the
        value is one too (RFC 3261 §16.6 item 4).
        """
        inner = self.route_value(incoming, user, parameters, secure)
        same = incoming.transport == outgoing.transport and incoming.local == outgoing.local
        if same and secure == leaves_secure:
            return inner
        return f"{self.route_value(outgoing, user, parameters, leaves_secure)}, {inner}"

    def route_value(
        self, flow: Flow, user: str = "", parameters: str = "", secure: bool = False
    ) -> str:
        """A Route, Record-Route or Path value that leads to the socket of this flow."""
        head = None if user else self._route_heads.get((flow.transport, flow.local, secure))
        if head is None:
            at = f"{user}@" if user else ""
            head = _route_head(flow.transport, self.advertised(flow), secure, at)
        return f"{head}{parameters}>"

    def usual_routes(self, parameters: str) -> tuple[str, ...]:
        """What all our Route values without user begin with, up to and with these parameters."""
        heads = [_route_head(lt.transport, lt.advertised, False) for lt in self.listeners]
        heads += [
            _route_head("TLS", lt.advertised, True)
            for lt in self.listeners
            if lt.transport == "TLS"
        ]
        return tuple([head + parameters for head in heads])


def _via_head(listener: Listener) -> str:
    host, port = listener.advertised
    return f"SIP/2.0/{listener.transport} {bracketed(host)}:{port};"


def _route_head(transport: str, address: Address, secure: bool, at: str = "") -> str:
    host, port = address
    if secure:
        return f"<sips:{at}{bracketed(host)}:{port};lr"
    # RFC 5630 has no transport=tls, but says no other way to have a sip URI sent to over TLS.
    kind = "" if transport == "UDP" else f";transport={transport.lower()}"
    return f"<sip:{at}{bracketed(host)}:{port}{kind};lr"
