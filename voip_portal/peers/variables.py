"""Variables of the environment that are start values: read once, into empty tables, and never again.

Afterwards the rows count, which are edited in the admin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.management.base import CommandError
from django.db import models, transaction

from voip_portal.changes.actor import acting_as
from voip_portal.directory import words
from voip_portal.numbers.models import Domain
from voip_portal.peers.models import Edge, NumberLookup, OpenNetwork, StartValue, TrustedPeer

Row = tuple[str, ...]


class Variable(NamedTuple):
    """One of them."""

    name: str
    model: type[models.Model]
    columns: tuple[str, ...]
    row: Callable[[str], Row]
    """The columns that a word means; ValueError says what is wrong with it."""

    @property
    def words(self) -> list[str]:
        said = getattr(settings, self.name)
        return list(said) if isinstance(said, list) else [said] * bool(said)

    @property
    def wanted(self) -> dict[Row, None]:
        """The rows that it says, each once; ValueError."""
        return dict.fromkeys(map(self.row, self.words))

    @property
    def in_force(self) -> set[Row]:
        return set(self.model._default_manager.values_list(*self.columns))


def _edge(word: str) -> Row:
    domain, _, registrar = word.partition("=")
    row = words.edge(domain, registrar)
    if Domain.objects.filter(name=row[0]).exists():
        raise ValueError(f"{domain} is a domain of our own.")
    return row


VARIABLES: Final = (
    Variable(
        "VOIP_TRUSTED_PEERS", TrustedPeer, ("domain",), lambda word: (words.peer_domain(word),)
    ),
    Variable("VOIP_EDGE_FOR", Edge, ("domain", "registrar"), _edge),
    Variable("VOIP_OPEN_NETWORKS", OpenNetwork, ("network",), lambda word: (words.network(word),)),
    Variable("VOIP_ENUM", NumberLookup, ("suffix",), lambda word: (words.enum_domain(word),)),
)


def read_start_values() -> None:
    """Read the variables that were never read; CommandError where one makes no sense."""
    for variable in VARIABLES:
        if variable.words and not StartValue.objects.filter(variable=variable.name).exists():
            with acting_as(variable.name), transaction.atomic():
                _read(variable)


def _read(variable: Variable) -> None:
    _, is_new = StartValue.objects.get_or_create(variable=variable.name)
    if not is_new or variable.model._default_manager.exists():
        return
    try:
        rows = variable.wanted
    except ValueError as error:
        raise CommandError(f"{variable.name}: {error}") from None
    for row in rows:
        made: Any = variable.model(**dict(zip(variable.columns, row, strict=True)))
        made.save()


__all__ = ["VARIABLES", "Variable", "read_start_values"]
