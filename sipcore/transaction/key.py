"""What a message and its retransmissions have in common (RFC 3261 §17.1.3, §17.2.3)."""

from __future__ import annotations

from typing import Final

from sipcore.message import Request

MAGIC_COOKIE: Final = "z9hG4bK"


def server_key(request: Request, method: str) -> str:
    """The key of the server transaction of this request, taken as one with `method`.

    An ACK has that of its INVITE, and so has a CANCEL when its INVITE is looked for. Only requests
    of RFC 2543 (no magic cookie, or nothing behind it) have a key of several lines.
    """
    via = request.via
    branch = via.branch
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return f"{branch} {via.sent_by} {method}"
    return old_style_key(request, method, request.to_tag)


def old_style_key(request: Request, method: str, to_tag: str) -> str:
    """The same by the rules of RFC 2543: everything that tells two of its requests apart."""
    via = request.via
    return "\n".join(
        (
            request.uri_text,
            to_tag,
            request.from_tag,
            request.call_id,
            str(request.cseq_number),
            via.transport,
            via.branch,
            via.sent_by,
            method,
        )
    )


def client_key(branch: str, method: str) -> str:
    """The key of the client transaction with this branch; a CANCEL shares it with its INVITE."""
    return f"{branch} CANCEL" if method == "CANCEL" else branch
