"""Calls between scripted phones, step by step, and what their records must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.support.campus import Campus, Line
from tests.support.ua import Agent, Called, Calling, Dialog

Phones = Callable[..., Agent]
COMPLETED: Final = ["call.begin", "call.ring", "call.answer", "call.end"]
"""The records of a call that was answered once and hung up."""


def ring(campus: Campus, caller: Agent, callee: Agent, dialled: str = "") -> tuple[Calling, Called]:
    """A call that rings."""
    calling = caller.invite(campus.uri(dialled or callee.user))
    called = callee.ringing()
    called.ring()
    calling.expect(180)
    return calling, called


def talk(campus: Campus, caller: Agent, callee: Agent) -> tuple[Calling, Dialog, Dialog]:
    """A call that was answered: the INVITE, and each side's dialog."""
    calling, called = ring(campus, caller, callee)
    at_callee = called.answer()
    at_caller = calling.answered()
    callee.expect("ACK")
    return calling, at_caller, at_callee


def pair(campus: Campus, phone: Phones, **options: Any) -> tuple[Agent, Agent, Line, Line]:
    """Two registered phones and their lines."""
    first, second = campus.line(), campus.line()
    return phone(first, **options).registered(), phone(second).registered(), first, second


def expect_record(record: dict[str, Any], **wanted: Any) -> None:
    """The record says so, and its steps stand in order."""
    assert {key: record[key] for key in wanted} == wanted
    assert record["kinds"].count("call.begin") == 1
    assert record["kinds"].count("call.end") == 1
    assert record["kinds"][0] == "call.begin"
    times = [record[k] for k in ("started_at", "ringing_at", "answered_at", "ended_at")]
    known = [t for t in times if t is not None]
    assert known == sorted(known)
