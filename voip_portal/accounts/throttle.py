"""How often a password may be tried, and a code be asked for: by whom, and for which account.

The narrow counts are those of (account, network): who types wrong, or types other people's
addresses, is in their way alone. The wide ones, by account alone, bound what many networks together
can do; a browser that is known for the account passes by them (`known_browser`). The numbers are in
`ACCOUNT_RATE_LIMITS`.
"""

from __future__ import annotations

from typing import Final

from allauth.account.adapter import get_adapter
from allauth.core.internal import ratelimit
from allauth.core.internal.ratelimit import RateLimitUsage
from django.http import HttpRequest

from sipcore.transport.networks import NETWORKS, Networks, network_of
from voip_portal.accounts.known_browser import known_as
from voip_portal.accounts.models import User
from voip_portal.accounts.waits import wait_of

SUBNETS: Final = Networks(ipv6_prefix=48)
"""What counts as one place for sign-ups of many people: an IPv6 site may have 65,536 networks."""


def network(request: HttpRequest, networks: Networks = NETWORKS) -> str:
    """Where a request comes from: a /24 or a /64."""
    return network_at(get_adapter().get_client_ip(request), networks)


def network_at(address: str, networks: Networks = NETWORKS) -> str:
    """The same of an address, which a proxy may have written in a way of its own."""
    try:
        return network_of(address, networks)
    except ValueError:
        return address


def take_try(request: HttpRequest, email: str) -> RateLimitUsage | None:
    """Count a password that is about to be tried; None: too many were wrong already.

    They count against the password that the account has, so that a new one forgives them. An unknown
    account is looked up and counted alike.
    """
    email = email.lower()
    user = User.objects.filter(email=email).only("password").first()
    account = f"{email}|{user.password if user else ''}"
    if word := _known_word(request, user):
        return _take(request, {"login_failed_browser": f"{account}|{word}"})
    # Not given back after a right password: each log-in costs a hash.
    if _take(request, {"login_unknown": ""}) is None:
        return None
    counts = {
        "login_failed": "",
        "login_failed_network": f"{account}|{network(request)}",
        "login_failed_account": account,
    }
    return _take(request, counts)


def take_code(request: HttpRequest, email: str) -> bool:
    """Count a mail to an address that somebody typed; False: it has had too many."""
    return _take(request, _counts_of_codes(request, email)) is not None


def wait_for_code(request: HttpRequest, email: str) -> int:
    """Seconds until `take_code` says yes."""
    counts = _counts_of_codes(request, email)
    return max(wait_of(request, action, key) for action, key in counts.items())


def _counts_of_codes(request: HttpRequest, email: str) -> dict[str, str]:
    email = email.lower()
    user = User.objects.filter(email=email).only("password").first()
    if word := _known_word(request, user):
        return {"code_browser": f"{email}|{word}"}
    return {"code_network": f"{email}|{network(request)}", "code_address": email}


def _known_word(request: HttpRequest, user: User | None) -> str:
    if user is not None and request.user.pk == user.pk:
        return f"session {request.session.session_key}"  # asked for the password again
    return known_as(request, user)


def _take(request: HttpRequest, counts: dict[str, str]) -> RateLimitUsage | None:
    """One of each count; of none if one is exhausted."""
    taken = RateLimitUsage(usage=[])
    for action, key in counts.items():
        usage = ratelimit.consume(
            request, app="allauth.account", action=action, key=key, limit_get=True
        )
        if usage is None:
            taken.rollback()
            return None
        taken.usage += usage.usage
    return taken
