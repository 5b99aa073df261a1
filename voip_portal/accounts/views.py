"""Sign-up with a second limit: for a whole subnet, besides allauth's for one address."""

from __future__ import annotations

import ipaddress

from allauth.account.adapter import get_adapter
from allauth.account.views import SignupView
from allauth.core import ratelimit
from django.http import HttpRequest, HttpResponseBase


def subnet(address: str) -> str:
    """The /24 or /48 an address is in."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))


def signup(request: HttpRequest) -> HttpResponseBase:
    """The sign-up page."""
    source = subnet(get_adapter().get_client_ip(request))
    if not ratelimit.consume(request, action="signup_subnet", key=source):
        response: HttpResponseBase = ratelimit.respond_429(request)
        return response
    page: HttpResponseBase = SignupView.as_view()(request)
    return page
