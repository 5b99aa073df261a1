"""Who changes what: the actor of every transaction that the portal makes.

`acting_as` gives every statement that writes a watched table its actor: in PostgreSQL by a setting
of the transaction, in SQLite by a trigger that only this connection has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse

from voip_portal.changes.registry import TABLES
from voip_portal.changes.triggers import dialect, is_watched

_WRITES = ("INSERT", "UPDATE", "DELETE")
_LENGTHS = (200, 64, 200)


class Acting(NamedTuple):
    """Who changes something, from which address, and why."""

    name: str
    source: str = ""
    reason: str = ""


Name = Callable[[], Acting]


@contextmanager
def acting_as(name: str | Name) -> Iterator[None]:
    """Changes of this thread are this actor's. A function is asked at each write."""
    named: Name = name if callable(name) else lambda: Acting(name)
    with ExitStack() as stack:
        for using in connections:
            if is_watched(using):
                connection = connections[using]
                stack.enter_context(connection.execute_wrapper(_Wrapper(using, named)))
        yield


class _Wrapper:
    """Sets the actor around each statement that writes a watched table."""

    def __init__(self, using: str, name: Name) -> None:
        self._using = using
        self._name = name
        self._inside = False

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        if self._inside or not writes_watched(sql):
            return execute(sql, params, many, context)
        self._inside = True
        try:
            return self._write(execute, sql, params, many, context)
        finally:
            self._inside = False

    def _write(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        connection = connections[self._using]
        name, source, reason = self._name()
        acting = (name[: _LENGTHS[0]], source[: _LENGTHS[1]], reason[: _LENGTHS[2]])
        with ExitStack() as stack:
            if connection.vendor == "postgresql" and not connection.in_atomic_block:
                stack.enter_context(transaction.atomic(using=self._using))
            cursor = stack.enter_context(connection.cursor())
            stack.enter_context(dialect(connection).as_actor(cursor, acting))
            return execute(sql, params, many, context)


def writes_watched(sql: Any) -> bool:
    """Whether this statement writes a table of the registry."""
    text = sql if isinstance(sql, str) else str(sql)
    head = text.lstrip("( \n\t")[:6].upper()
    return head in _WRITES and any(table in text for table in TABLES)


class ActorMiddleware:
    """The actor of what a request changes: who is logged in, else the portal itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting_as(lambda: acting_in(request)):
            return self.get_response(request)


def acting_in(request: HttpRequest) -> Acting:
    """Who is at the browser, where it is, and the reason that a page asked for (`request.reason`)."""
    try:
        source = str(get_adapter().get_client_ip(request))
    except PermissionDenied:  # it cannot be told behind these proxies
        source = ""
    return Acting(actor_of(request), source, getattr(request, "reason", ""))


def actor_of(request: HttpRequest) -> str:
    """The name under which a request's changes are kept."""
    user = getattr(request, "user", None)
    return str(user) if user is not None and user.is_authenticated else "portal"
