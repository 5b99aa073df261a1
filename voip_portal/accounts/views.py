"""Sign-up where it differs from allauth's: a limit for a whole subnet; a mail for every resend."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.email_verification_by_code import EmailVerificationProcess
from allauth.account.views import ConfirmEmailVerificationCodeView, SignupView
from allauth.core import ratelimit
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect

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


class EvenProcess(EmailVerificationProcess):  # type: ignore[misc]
    """Sends a mail each time it is asked to, to known and unknown addresses."""

    def send(self, skip_enumeration_mails: bool = False) -> None:
        super().send()


class ConfirmEmail(ConfirmEmailVerificationCodeView):  # type: ignore[misc]
    """The page that asks for the code.

    allauth sends the code again, but not what a known address gets instead of one. Handing a mail
    over takes long, so the time of the answer would tell which it is.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Who has typed the code already, and came back, goes on to the first page."""
        if request.user.is_authenticated and EmailVerificationProcess.resume(request) is None:
            return redirect("home")
        page: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return page

    def _resend_form_valid(self, form: Any) -> HttpResponse:
        self._process = EvenProcess(self.request, self._process.state)
        response: HttpResponse = super()._resend_form_valid(form)
        return response
