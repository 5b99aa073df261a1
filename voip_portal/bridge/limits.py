"""What bounds the SIP server, read where it is declared; `manage.py sipd --limits` prints it.

A limit is a number of `sipcore/PACKAGE/limits.py`, or of one of the values that a deployment makes
at start. The string under it is the reason, after the unit and a colon where its name does not say
the unit: `_S`, `_BYTES`, `_LENGTH`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import sipcore

MODULES = (
    "message.limits",
    "eventlog.limits",
    "transport.limits",
    "auth.limits",
    "transaction.limits",
    "locate.limits",
    "bindings.limits",
    "perimeter.limits",
    "calls.limits",
    *("registrar.limits", "registrar.policy"),
    *("proxy.limits", "proxy.session_timer"),
    *("apps.limits", "apps.config"),
    "campus.limits",
    "node.limits",
)
"""Where limits are declared, from the wire inwards."""

UNITS = {"s": "s", "bytes": "bytes", "length": "characters"}
"""By the last word of a name."""
_UNIT = re.compile(r"([a-z]+): ")


class Limit(NamedTuple):
    """One row of the table."""

    package: str
    name: str
    number: float
    unit: str
    reason: str
    setting: str = ""
    """What an operator changes the number by; "": nothing but the source."""

    @property
    def key(self) -> str:
        """As `all_limits` wants it."""
        return f"{self.package}.{self.name}"


def all_limits(settings: Mapping[str, tuple[float, str]]) -> list[Limit]:
    """Every limit, in the order of the layers. `settings`: key → number in force, its setting."""
    limits = [limit for module in MODULES for limit in limits_of(module)]
    unknown = set(settings) - {limit.key for limit in limits}
    if unknown:
        raise KeyError(*unknown)
    return [
        limit._replace(number=settings[limit.key][0], setting=settings[limit.key][1])
        if limit.key in settings
        else limit
        for limit in limits
    ]


def limits_of(name: str) -> Iterator[Limit]:
    """The numbers of one module that have a unit, and those of its dataclasses."""
    package = name.partition(".")[0]
    module = import_module(f"sipcore.{name}")
    path = Path(str(sipcore.__file__)).parent / f"{name.replace('.', '/')}.py"
    tree = ast.parse(path.read_text())
    for scope in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        prefix, numbers = "", vars(module)
        if isinstance(scope, ast.ClassDef):
            prefix, numbers = f"{scope.name}.", defaults_of(getattr(module, scope.name))
        for field, text in documented(scope.body):
            unit, reason = split_unit(field, text)
            if unit and isinstance(numbers.get(field), int | float):
                yield Limit(package, prefix + field, numbers[field], unit, reason)


def documented(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Annotated names, and the strings under them in one line; "" where there is none."""
    for statement, below in pairwise([*body, ast.Pass()]):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = ""
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                text = str(below.value.value)
            yield statement.target.id, " ".join(text.split())


def defaults_of(cls: Any) -> dict[str, Any]:
    """What the fields of a dataclass are where nobody says otherwise; nothing of another class."""
    if not hasattr(cls, "__dataclass_fields__"):
        return {}
    return {field.name: field.default for field in fields(cls) if field.default is not MISSING}


def split_unit(name: str, text: str) -> tuple[str, str]:
    """The unit of a limit, or "", and its reason."""
    if unit := UNITS.get(name.lower().rpartition("_")[2], ""):
        return unit, text
    found = _UNIT.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def table(limits: Iterable[Limit]) -> str:
    """As aligned text. The reason comes last: it may be long."""
    rows = [("package", "name", "number", "unit", "setting", "reason")]
    for limit in limits:
        number = f"{limit.number:,}".removesuffix(".0")
        head = (limit.package, limit.name, number, limit.unit, limit.setting or "-")
        rows.append((*head, limit.reason))
    package, name, digits, unit, setting, _ = (max(map(len, c)) for c in zip(*rows, strict=True))
    return "\n".join(
        f"{a:<{package}}  {b:<{name}}  {c:>{digits}}  {d:<{unit}}  {e:<{setting}}  {reason}"
        for a, b, c, d, e, reason in rows
    )
