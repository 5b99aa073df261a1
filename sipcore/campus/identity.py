"""Who is calling: a device by digest, or a stranger (DESIGN: Trust; RFC 3261 §22.3)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Final

from sipcore.apps.host import Host
from sipcore.auth import Verdict, VerdictKind
from sipcore.calls import CallToken
from sipcore.campus.dialog_parts import token_in_route
from sipcore.campus.incoming import COME_BACK, STRANGER, Caller
from sipcore.campus.limits import MOST_COME_BACK
from sipcore.campus.old_phones import OldPhones
from sipcore.directory import AccountState, Directory
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Kind, Record
from sipcore.message import Request, Response, Uri, parse_uri
from sipcore.perimeter import Refusals
from sipcore.perimeter.limits import REFUSAL_SUM_INTERVAL_S
from sipcore.routing import account_named
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow, is_no_host
from sipcore.transport.way_back import response_flow

ONLY_MD5_AGENTS: Final = ("baresip v0", "baresip v1", "baresip v2")
"""User-Agents that give up when any challenge names an algorithm they do not know, where RFC 7616
§3.7 has them skip it (libre before 3.0). They are offered MD5 alone, in domains that offer MD5. A
man in the middle who could use this could as well take the other challenges out."""


ANONYMOUS: Final = "anonymous"
"""The user part of who does not want to be known (RFC 3323 §4.1.1.3)."""


class Identity:
    """Challenges and verifies; records refusals, throttled per source and username."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._old_phones = OldPhones(host.record)
        self._refusals = Refusals(host.config.cluster_keys[0])

    def caller(
        self, tx: ServerTransaction, request: Request, flow: Flow, now: float
    ) -> Caller | None:
        """The caller, or None when the request was answered with a challenge or a refusal.

        A From in one of our domains must belong to the authenticated account: 407, then 403. One that
        hides who is calling is an account's where a phone of ours sends from there, else a stranger's.
        """
        host = self._host
        from_uri = request.from_.uri
        domain = host.own.domain_of(from_uri)
        peer = host.trusted_peer(flow)
        if peer and not self.names_one_of_us(from_uri, has_numbers=True):
            return Caller(None, None, peer)
        if domain is None:
            if from_uri.scheme in ("sip", "sips") and not is_no_host(from_uri.host):
                if self.names_one_of_us(from_uri) or self._has_our_address(from_uri):
                    host.refuse(tx, request, now, 403, "From Not Yours")
                    return None
                domain = self._hidden_domain(from_uri, flow)
                if domain is None:
                    return STRANGER
                return self._hidden_caller(tx, request, flow, domain, now)
            # A number without a domain would look like one of ours on the phone that rings.
            host.refuse(tx, request, now, 403, "From Names No Domain")
            return None
        if hides_sender(host.directory, from_uri, domain):
            if self._hidden_domain(from_uri, flow) is None:
                return STRANGER
            return self._hidden_caller(tx, request, flow, domain, now)
        verdict = self.verify(request, flow, proxy=True, bound_to=request.call_id, domain=domain)
        if verdict.kind is not VerdictKind.OK:
            token = self._came_back(request, domain) if peer else None
            if token is not None and self._comes_back_once(token, request):
                return COME_BACK
            self.challenge(tx, request, verdict, request.call_id, domain, now, proxy=True)
            return None
        account = host.directory.account_by_name(verdict.username)
        owner = host.directory.resolve(from_uri.user_decoded, domain)
        if account is None or owner is None or owner.id != account.id:
            tx.respond(request.respond(403, "From Not Yours", to_tag=host.new_tag()), now)
            return None
        return Caller(account, verdict.device, aor=account.aor)

    def _hidden_caller(
        self, tx: ServerTransaction, request: Request, flow: Flow, domain: str, now: float
    ) -> Caller | None:
        """The account that does not want to be known; None when it was challenged or refused."""
        host = self._host
        verdict = self.verify(request, flow, proxy=True, bound_to=request.call_id, domain=domain)
        if verdict.kind is not VerdictKind.OK:
            self.challenge(tx, request, verdict, request.call_id, domain, now, proxy=True)
            return None
        account = host.directory.account_by_name(verdict.username)
        if account is None:
            host.refuse(tx, request, now, 403, "From Not Yours")
            return None
        return Caller(account, verdict.device, aor=account.aor, is_hidden=True)

    def _hidden_domain(self, uri: Uri, source: Flow) -> str | None:
        """Whose phones are asked who they are, where a From hides it; None where nobody is.

        Only a phone of ours can answer: from an address without one it is a stranger's.
        """
        host = self._host
        domain = host.own.domain_of(uri)
        if not hides_sender(host.directory, uri, domain):
            return None
        if not host.bindings.is_source(source.remote[0]):
            return None
        return domain or host.directory.default_domain

    def is_foreign(self, request: Request, source: Flow) -> bool:
        """Whether nobody is asked who has sent a request, told by its From and its source."""
        uri = request.from_.uri
        domain = self._host.own.domain_of(uri)
        if domain is not None and not hides_sender(self._host.directory, uri, domain):
            return False
        return self._hidden_domain(uri, source) is None

    def names_one_of_us(self, uri: Uri, *, has_numbers: bool = False) -> bool:
        """Whether a From is that of an account of ours, which nobody but its devices may say.

        `has_numbers`: a trusted peer writes it, whose local numbers are its own.
        """
        host = self._host
        domain = host.own.domain_of(uri)
        return (
            account_named(host.directory, uri, domain, host.own.own_hosts, has_numbers=has_numbers)
            is not None
        )

    def _has_our_address(self, uri: Uri) -> bool:
        """Whether the user part of a foreign From is an address of ours, as in `a%40ours@foreign`."""
        if "%" not in uri.user:
            return False
        _, at, place = uri.user_decoded.rpartition("@")
        place = place.lower().removesuffix(".")
        return bool(at) and self._host.own.domain_of(Uri("sip", host=place)) is not None

    def _came_back(self, request: Request, domain: str) -> CallToken | None:
        """The token of an INVITE of one of us that was sent on to a foreign domain and came back.

        Asked of what a trusted peer sends alone: whoever else is called outside has the token, too, and
        could ring anybody in the caller's name. Nobody there can answer a challenge. The token of our Record-Route says who placed the call;
        the From must still be his. What comes from there has no more rights than a stranger has.
        """
        if not request.has("record-route") or request.method != "INVITE":
            return None
        host = self._host
        owner = host.directory.resolve(request.from_.uri.user_decoded, domain)
        if owner is None or owner.state is not AccountState.ACTIVE:
            return None
        for value in request.record_routes:
            text = token_in_route(value)
            token = host.tokens.check(text, request.call_id) if text else None
            if token is not None and token.caller_line == owner.id:
                return token if token.from_caller(request.from_tag) else None
        return None

    def _comes_back_once(self, token: CallToken, request: Request) -> bool:
        """Whether the call still rings, and this branch of it has not come back before.

        Of one that another worker holds nobody here knows. Asked of new requests alone: what is
        repeated belongs to a transaction.
        """
        host = self._host
        call = host.calls.get(token.context)
        if call is None or call.answered_now is not None:
            return False
        own = (host.own.own_branch(value) for value in request.values("via")[1:])
        branch = next((found for found in own if found), "")
        if branch in call.came_back or len(call.came_back) >= MOST_COME_BACK:
            return False
        call.came_back += (branch,)
        return True

    def verify(
        self, request: Request, flow: Flow, *, proxy: bool, bound_to: str, domain: str
    ) -> Verdict:
        """Check the credentials of a request; a wrong one is recorded."""
        host = self._host
        known = host.directory.domain(domain)
        verdict = host.authenticator.verify(
            request,
            proxy,
            host.directory.active_account,
            host.directory.realm,
            bound_to,
            host.at,
            algorithms=known.algorithms if known else ("MD5",),
        )
        sent = verdict.sent
        if (
            sent is not None
            and sent.uri != request.uri_text
            and not self._is_served(sent.uri, request)
        ):
            verdict = Verdict(VerdictKind.WRONG, verdict.username)
        if verdict.kind is not VerdictKind.MISSING:
            self._answered(request, response_flow(request, flow), verdict)
        if verdict.device is not None and host.silent_devices.remotes:
            host.silent_devices.heard(verdict.device.id, host.at)
        if verdict.kind in (VerdictKind.WRONG, VerdictKind.REPLAYED):
            self._record_refusal(verdict.username, request, flow)
        return verdict

    def _answered(self, request: Request, back: Flow, verdict: Verdict) -> None:
        """A phone has shown credentials: it can answer what it was offered."""
        self._old_phones.answered(back.remote)
        account, device, sent = verdict.account, verdict.device, verdict.sent
        if account is None or device is None or sent is None or sent.algorithm != "MD5":
            return
        self._old_phones.proved(back.remote, account.id, device.id, self._host.now, self._host.at)

    def _is_served(self, text: str, request: Request) -> bool:
        """Whether a digest's uri is of ours, or of the host that is asked for (RFC 7616 §3.4.6).

        It need not be the Request-URI byte for byte: proxies may have changed that on the way, and there
        are phones that hash it without its scheme, or with the brackets of a header.
        """
        asked = request.uri
        try:
            uri = parse_uri(text)
        except MalformedMessage:
            uri = None
        if uri is not None:
            if uri.scheme not in ("sip", "sips"):
                if uri.equals(asked):
                    return True
            elif uri.host == asked.host or self._host.own.domain_of(uri) is not None:
                return True
        text = text[1:-1] if text[:1] == "<" and text[-1:] == ">" else text
        hosts = (asked.host, *self._host.config.own_hosts, *self._host.directory.domains)
        return any(_names_host(text, host) or _names_host(f"sip:{text}", host) for host in hosts)

    def challenge(
        self,
        tx: ServerTransaction,
        request: Request,
        verdict: Verdict,
        bound_to: str,
        domain: str,
        now: float,
        *,
        proxy: bool,
    ) -> None:
        """Answer 401 or 407 with a challenge for each algorithm of the domain."""
        stale = verdict.kind is VerdictKind.STALE
        response = self._challenge_response(request, tx.flow, proxy, bound_to, domain, stale)
        tx.respond_once(response, now)

    def refusal(self, request: Request, flow: Flow, domain: str) -> Response:
        """The challenge for a REGISTER whose credentials are no good, as `challenge` has it."""
        bound_to = self._host.own.aor_of(request.to.uri)
        verdict = self.verify(request, flow, proxy=False, bound_to=bound_to, domain=domain)
        stale = verdict.kind is VerdictKind.STALE
        return self._challenge_response(request, flow, False, bound_to, domain, stale)

    def plain_challenge(self, request: Request, flow: Flow) -> Response | None:
        """The challenge for a request without credentials; None where none is due."""
        host = self._host
        if request.method == "REGISTER":
            uri = request.to.uri
            domain = host.own.domain_of(uri)
            if domain is None or not host.own.is_ours(request.uri):
                return None
            bound_to = host.own.aor_of(uri)
            return self._challenge_response(request, flow, False, bound_to, domain, False)
        uri = request.from_.uri
        domain = host.own.domain_of(uri)
        if domain is None or len(uri.user) == len(ANONYMOUS):
            if self.is_foreign(request, flow):
                return None
            domain = domain or host.directory.default_domain
        if request.max_forwards == 0:
            return None
        if host.trusted_peer(flow) and not self.names_one_of_us(
            request.from_.uri, has_numbers=True
        ):
            return None
        if host.trusted_peer(flow) and self._came_back(request, domain) is not None:
            return None
        return self._challenge_response(request, flow, True, request.call_id, domain, False)

    def _challenge_response(
        self, request: Request, back: Flow, proxy: bool, bound_to: str, domain: str, stale: bool
    ) -> Response:
        """`back`: the flow that it will go by."""
        host = self._host
        headers = host.authenticator.challenge(
            proxy,
            host.directory.realm,
            self._offered(request, back, domain, proxy, stale),
            bound_to,
            host.at,
            stale=stale,
        )
        status = 407 if proxy else 401
        return request.respond(status, to_tag=host.stateless_tag(request), headers=headers)

    def _offered(
        self, request: Request, back: Flow, domain: str, proxy: bool, stale: bool
    ) -> tuple[str, ...]:
        known = self._host.directory.domain(domain)
        algorithms = known.algorithms if known else ("MD5",)
        if len(algorithms) > 1 and "MD5" in algorithms:
            agent = request.first("user-agent")
            if agent is not None and agent.startswith(ONLY_MD5_AGENTS):
                return ("MD5",)
            if self._knows_md5_alone(request, back, proxy, stale):
                return ("MD5",)
        return algorithms

    def _knows_md5_alone(self, request: Request, back: Flow, proxy: bool, stale: bool) -> bool:
        """Whether a phone gives up at SHA-256, by what it did before, or by the right credentials it shows.

        Those were made for a nonce that is too old; it would not know what to do with another algorithm.
        """
        rows = request.rows("proxy-authorization" if proxy else "authorization")
        if not rows:
            now = self._host.now
            return self._old_phones.knows_md5_alone(back.remote, request.branch, now)
        return stale and not any("sha-256" in row.lower() for row in rows)

    def _record_refusal(self, username: str, request: Request, flow: Flow) -> None:
        host, source = self._host, flow.remote[0]
        was_silent = not self._refusals.summed
        request_id = f"{request.call_id}|{request.cseq_number}"
        count = self._refusals.refused(source, username, request_id, host.now)
        if count:
            self._write_refusal(username[:64], source, count)
        elif was_silent and self._refusals.summed:
            host.wake(self, host.now + REFUSAL_SUM_INTERVAL_S)

    def _write_refusal(self, username: str, source: str, count: int) -> None:
        host = self._host
        fields = {
            "username": username,
            "known": host.directory.active_account(username) is not None,
            "source": source,
            "count": count,
        }
        host.record(Record(Kind.AUTH_REFUSED, "", host.at, fields))

    def advance(self, now: float) -> None:
        """Tell of the refusals that got no record of their own."""
        summed = self._refusals.take_sum()
        if summed:
            self._host.sleep(self)
            self._write_refusal("", "", summed)


def reads_as_ours(display: str, domain_of: Callable[[Uri], str | None]) -> bool:
    """Whether a display name without quotes has in it what somebody may take for an address of ours."""
    for word in display.lower().replace("\t", " ").replace(",", " ").split(" "):
        _, is_sip, after = word.partition("sips:" if "sips:" in word else "sip:")
        _, is_tel, number = word.partition("tel:")
        if is_tel and number:
            return True  # a number of no domain is one of ours
        places = [*word.split("@")[1:], *([after] if is_sip else [])]
        if any(_is_place_of_ours(place, domain_of) for place in places):
            return True
    return False


def _is_place_of_ours(text: str, domain_of: Callable[[Uri], str | None]) -> bool:
    """Whether a text begins with a host, or host and port, of ours."""
    host = "".join(takewhile(_IN_A_HOST.__contains__, text)).rstrip(":.")
    try:
        return domain_of(parse_uri(f"sip:{host}")) is not None
    except MalformedMessage:
        return False


_IN_A_HOST: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")


def hides_sender(directory: Directory, uri: Uri, domain: str | None) -> bool:
    """Whether a From hides who is calling: `anonymous@` here, or a host that nobody can have.

    RFC 3323 §4.1.1.3 has `anonymous@anonymous.invalid`; `domain`: of ours, by the host.
    """
    if domain is None:
        return uri.host.endswith(".invalid")
    if len(uri.user) != len(ANONYMOUS) or uri.user.lower() != ANONYMOUS:
        return False
    return directory.resolve(ANONYMOUS, domain) is None


def _names_host(text: str, host: str) -> bool:
    """Whether this is a SIP URI of that host but for its port, or for the brackets of an IPv6 address.

    SIPp leaves those out, and then writes what is no URI.
    """
    scheme, _, rest = text.partition(":")
    user, _, place = rest.rpartition("@")
    bare = host.strip("[]")
    if scheme.lower() not in ("sip", "sips") or not bare or "@" in user or " " in user:
        return False
    port = place.removeprefix(bare) if place.startswith(bare) else "?"
    return not port or (port[0] == ":" and port[1:].isdecimal() and port.isascii())
