"""A rule of sipcore, and how to break it: one expression of one function, put in other words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


class NoLongerApplies(Exception):
    """The code that a rule names is not there, or is there more than once."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`package` and `function` say where, whatever file and line that is today."""

    says: str
    """The rule as a sentence: what holds as long as nothing is broken."""
    package: str
    """Of sipcore; its own tests are those of `tests/sipcore/<package>`."""
    function: str
    """`Class.method` or `function`: there is one of that name in the package."""
    right: str
    """An expression or a statement, there once in the function, in whichever lines and quotes."""
    broken: str
    """What stands there when the rule is broken."""


def break_rule(root: Path, rule: Rule) -> tuple[Path, str]:
    """The file in which the rule stands below `root`, and its text with the rule broken."""
    path, text, function = _function(root, rule)
    pattern, is_expression = _parsed(rule.right)
    found = [node for node in ast.walk(function) if _is_like(node, pattern)]
    if len(found) != 1:
        raise NoLongerApplies(
            f"{rule.says!r}: {rule.function} in {path.relative_to(root)} has {rule.right!r} "
            f"{len(found)} times"
        )
    _parsed(rule.broken)
    broken = f"({rule.broken})" if is_expression else rule.broken
    return path, _replaced(text, found[0], broken)


def _function(root: Path, rule: Rule) -> tuple[Path, str, ast.AST]:
    found = _functions_of(root / "sipcore" / rule.package).get(rule.function, [])
    if len(found) != 1:
        raise NoLongerApplies(
            f"{rule.says!r}: sipcore/{rule.package} has {rule.function} {len(found)} times"
        )
    return found[0]


@cache
def _functions_of(package: Path) -> dict[str, list[tuple[Path, str, ast.AST]]]:
    """All functions of a package by name, with their files and what these say."""
    found: dict[str, list[tuple[Path, str, ast.AST]]] = {}
    for path in sorted(package.rglob("*.py")):
        text = path.read_text()
        for name, node in _functions(ast.parse(text), ""):
            found.setdefault(name, []).append((path, text, node))
    return found


def _functions(node: ast.AST, within: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{within}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from _functions(child, f"{name}.")


def _parsed(code: str) -> tuple[ast.AST, bool]:
    """The one statement that this is, or the expression; whether it is one."""
    [statement] = ast.parse(code).body
    if isinstance(statement, ast.Expr):
        return statement.value, True
    return statement, False


def _is_like(node: ast.AST, pattern: ast.AST) -> bool:
    return type(node) is type(pattern) and ast.dump(node) == ast.dump(pattern)


def _replaced(text: str, node: ast.AST, code: str) -> str:
    assert isinstance(node, ast.expr | ast.stmt)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    lines = text.encode().splitlines(keepends=True)  # columns are counted in bytes
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return (before + code.encode() + after).decode()
