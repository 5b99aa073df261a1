"""Django's system check of variables that say something else than the rows in force."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import Error

from voip_portal.peers.models import StartValue
from voip_portal.peers.variables import VARIABLES, Row, Variable


def check_variables(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A variable that was read once and differs from the rows is of no use but to mislead."""
    return [
        Warning(
            f"{variable.name} is not what is in force: {difference}.",
            hint=(
                "The variable was read once, into an empty table; since then the rows in the admin "
                f"count (Other servers: {variable.model._meta.verbose_name_plural}). Edit them "
                "there, and take the variable out of the environment."
            ),
            id="peers.W001",
        )
        for variable in VARIABLES
        if variable.words and (difference := _difference(variable))
    ]


def _difference(variable: Variable) -> str:
    """What only one of both says; "" where they say the same, or it will be read yet."""
    try:
        if not StartValue.objects.filter(variable=variable.name).exists():
            return ""
        rows = variable.in_force
    except Error:
        return ""  # no database yet, or it is away
    try:
        wanted = set(variable.wanted)
    except ValueError as error:
        return str(error).removesuffix(".")
    both = ((wanted - rows, "only the variable has"), (rows - wanted, "only the rows have"))
    return "; ".join(f"{said} {_listed(found)}" for found, said in both if found)


def _listed(rows: set[Row]) -> str:
    return ", ".join("=".join(row) for row in sorted(rows))
