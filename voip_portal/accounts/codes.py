"""The pages that ask for a mailed code: who mistypes it, is late or needs another one stays there.

allauth's own lead to the log-in after three wrong tries, and say nothing of a code that is too old.
"""

from __future__ import annotations

import math
import time
from typing import Any, Final

from allauth.account.internal.flows.code_verification import AbstractCodeVerificationProcess
from allauth.account.internal.flows.email_verification_by_code import EmailVerificationProcess
from allauth.account.internal.flows.password_reset_by_code import PasswordResetVerificationProcess
from allauth.account.views import ConfirmEmailVerificationCodeView, ConfirmPasswordResetCodeView
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from voip_portal.accounts import throttle
from voip_portal.accounts.waits import with_wait

GOOD_FOR_S: Final = 15 * 60
"""A code. The page stays longer (`ACCOUNT_…_BY_CODE_TIMEOUT`), to say so and to send another one."""
SEND_AGAIN_AFTER_S: Final = 30
"""Mail takes a while: who is impatient would type the code of the mail before the last."""
SENT_AGAIN: Final = settings.ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND
"""How many codes may follow the first one."""


class CodePage:
    """For allauth's two views with a code. Known and unknown addresses read the same."""

    request: HttpRequest
    _process: AbstractCodeVerificationProcess
    begin_again: str
    """Name of the page where all begins."""

    @property
    def _expired(self) -> bool:
        return bool(time.time() - self._process.state["at"] > GOOD_FOR_S)

    @property
    def _tries_left(self) -> int:
        return max(0, self._process.max_attempts - self._process.state["failed_attempts"])

    @property
    def _wait(self) -> int:
        """Seconds until another code may be asked for."""
        state = self._process.state
        rest = math.ceil(state["at"] + SEND_AGAIN_AFTER_S - time.time())
        return max(0, rest, throttle.wait_for_code(self.request, state["email"]))

    @property
    def _may_send(self) -> bool:
        return not self._process.is_resend_quota_reached(SENT_AGAIN)

    def _gone(self) -> HttpResponse:
        messages.warning(self.request, _("This took too long, so please begin again."))
        return redirect(self.begin_again)

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_form_kwargs()  # type: ignore[misc]
        if "code" in kwargs and (self._expired or not self._tries_left):
            kwargs["code"] = ""  # no code is right
        return kwargs

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        spent = not self._tries_left
        return context | {
            "expired": self._expired,
            "spent": spent,
            "usable": not (self._expired or spent),
            "can_resend": self._may_send,
            "wait": self._wait,
            "begin_again": reverse(self.begin_again),
        }

    def form_invalid(self, form: Any) -> HttpResponse:
        """Count a wrong code; the page says how many more tries there are."""
        if form.has_error("code", "incorrect_code") and not self._expired and self._tries_left:
            self._process.state["failed_attempts"] += 1
            self._process.persist()
            left = self._tries_left
            told = ngettext("Wrong code. %d try left.", "Wrong code. %d tries left.", left) % left
            form.errors["code"] = form.error_class([told])
        page = self.render_to_response(self.get_context_data(form=form))  # type: ignore[attr-defined]
        return page  # type: ignore[no-any-return]

    def send_again(self) -> HttpResponse:
        """Another code with its own time and tries, unless that is too soon."""
        wait = self._wait
        if not self._may_send or wait:
            form = self._get_verify_form_class()()  # type: ignore[attr-defined]
            page = self.render_to_response(  # type: ignore[attr-defined]
                self.get_context_data(form=form, verify_form=form), status=429
            )
            return with_wait(page, wait)
        self._send()
        self._process.record_resend()
        self._process.state |= {"at": time.time(), "failed_attempts": 0}
        self._process.persist()
        return redirect(self.request.path)

    def _send(self) -> None:
        raise NotImplementedError


class ConfirmEmail(CodePage, ConfirmEmailVerificationCodeView):  # type: ignore[misc]
    """The code that proves an address at sign-up.

    allauth sends the code again, but not what a known address gets instead of one. Handing a mail
    over takes long, so the time of the answer would tell which it is.
    """

    begin_again = "account_signup"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Who has typed the code already, and came back, goes on to the first page."""
        self.request = request
        if EmailVerificationProcess.resume(request) is None:
            return redirect("home") if request.user.is_authenticated else self._gone()
        page: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return page

    def _resend_form_valid(self, form: Any) -> HttpResponse:
        return self.send_again()

    @property
    def _action(self) -> str:
        """What was pressed; to allauth a request for one code too many is a wrong code."""
        action = self.request.POST.get("action")
        return "resend" if action == "resend" else "verify"

    def _send(self) -> None:
        process = EmailVerificationProcess(self.request, self._process.state)
        process.generate_code()
        process.send()  # to known and unknown addresses
        self._process = process


class ConfirmReset(CodePage, ConfirmPasswordResetCodeView):  # type: ignore[misc]
    """The code for a new password."""

    begin_again = "account_reset_password"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.request = request
        if PasswordResetVerificationProcess.resume(request) is None:
            return self._gone()
        page: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return page

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.POST.get("action") == "resend":
            return self.send_again()
        page: HttpResponse = super().post(request, *args, **kwargs)
        return page

    def _get_verify_form_class(self) -> Any:
        return self.get_form_class()

    def _send(self) -> None:
        self._process.send()
        text = _("We sent a mail to %(email)s.") % {"email": self._process.state["email"]}
        messages.info(self.request, text)
