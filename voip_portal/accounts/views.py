"""Views that differ from allauth's: a limit for a whole subnet. Those with codes are in `codes`."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from allauth.account.views import SignupView
from allauth.core import ratelimit
from django.http import HttpRequest, HttpResponseBase

from voip_portal.accounts.throttle import SUBNETS, network_at


def subnet(address: str) -> str:
    """The /24 or /48 an address is in."""
    return network_at(address, SUBNETS)


def signup(request: HttpRequest) -> HttpResponseBase:
    """The sign-up page."""
    source = subnet(get_adapter().get_client_ip(request))
    if not ratelimit.consume(request, action="signup_subnet", key=source):
        response: HttpResponseBase = ratelimit.respond_429(request)
        return response
    page: HttpResponseBase = SignupView.as_view()(request)
    return page
