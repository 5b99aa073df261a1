"""Echo: a call to `sip:echo@…` hears itself, a message comes back."""

from __future__ import annotations

from sipcore.apps.user_agent import IncomingCall, IncomingMessage, UserAgent, is_optional


class Echo(UserAgent):
    """Answers with the caller's own session description: its media goes back to itself."""

    name = "echo"

    def on_call(self, call: IncomingCall) -> None:
        content_type = (call.request.content_type or "").partition(";")[0].strip().lower()
        is_session = content_type in ("application/sdp", "")
        if call.request.body and not is_session and not is_optional(call.request):
            call.refuse(415, headers=[("Accept", "application/sdp")])
        elif call.request.body and is_session:
            call.answer(call.request.body)
        else:
            call.refuse(488)  # no offer, and we have nothing of our own to offer

    def on_message(self, message: IncomingMessage) -> None:
        message.reply(message.request.body, message.request.content_type or "text/plain")
