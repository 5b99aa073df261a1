"""Bodies of requests to us: of which type, and whether they must be understood (RFC 3261 §8.2.3)."""

from __future__ import annotations

from typing import Final

from sipcore.message import BLANKS, Request

TEXT: Final = "text/plain"
NO_ENCODING: Final = ("Accept-Encoding", "identity")


def type_of_body(request: Request) -> str:
    """The media type of the body, without parameters; text/plain where none is named."""
    return (request.content_type or TEXT).partition(";")[0].strip(BLANKS).lower()


def is_encoded(request: Request) -> bool:
    """Whether the body is compressed, say, which nothing here undoes."""
    encoding = request.first("content-encoding")
    return bool(request.body) and encoding is not None and encoding.lower() != "identity"


def is_optional(request: Request) -> bool:
    """Whether the sender lets us ignore a body that we do not understand (RFC 5621 §3.3)."""
    return _handling(request) == "optional"


def is_required(request: Request) -> bool:
    """Whether the sender has said that the body must be understood.

    It is so too where he says nothing; but to leave out what a REGISTER or OPTIONS carries besides
    does no harm, and some phones send such things.
    """
    return bool(request.body) and _handling(request) == "required"


def _handling(request: Request) -> str:
    disposition = request.first("content-disposition")
    if disposition is None:
        return ""
    for piece in disposition.lower().split(";")[1:]:
        name, _, value = piece.partition("=")
        if name.strip(BLANKS) == "handling":
            return value.strip(BLANKS)
    return ""
