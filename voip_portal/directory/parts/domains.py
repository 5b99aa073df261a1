"""The SIP domains and the realm. All else depends on them: a change here reads everything again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sipcore.directory import Delta, Domain, Domains
from voip_portal.directory.loader import BadDirectory, Change, Loader, Reader
from voip_portal.directory.watched import Watched

_ALGORITHMS: Final = frozenset({"SHA-256", "MD5"})
_SELECT = "SELECT name, algorithms, is_default FROM numbers_domain ORDER BY is_default DESC, id"
_REALM = "SELECT realm FROM nodes_deployment WHERE id = 1"


class DomainsLoader(Loader[Domains]):
    """Reads `Domains`."""

    name = "domains"
    kind = Domains
    tables = (
        Watched(
            "numbers_domain",
            ("id", "name", "is_default", "algorithms"),
            booleans=frozenset({"is_default"}),
        ),
        Watched(
            "nodes_deployment",
            ("id", "realm"),
            secret=("cluster_key", "previous_cluster_key"),
        ),
    )

    def load(self, read: Reader, old: Domains | None) -> Domains:
        realm = read.query(_REALM)
        if not realm or not realm[0][0]:
            raise BadDirectory("there is no realm: run manage.py first_start")
        rows = read.query(_SELECT)
        if not rows or not rows[0][2]:
            raise BadDirectory("there is no default SIP domain")
        return Domains(map(_domain, rows), str(rows[0][0]), str(realm[0][0]))

    def delta(self, read: Reader, changes: Sequence[Change]) -> Delta[str, Domain] | None:
        return None

    def rows_of(self, part: Domains) -> Iterator[list[Any]]:
        yield [part.realm, part.default]
        for domain in part.by_name.values():
            yield [domain.name, domain.algorithms]

    def part_of(self, rows: Iterable[list[Any]]) -> Domains:
        (realm, default), *domains = rows
        return Domains([Domain(name, tuple(offered)) for name, offered in domains], default, realm)


def _domain(row: tuple[Any, ...]) -> Domain:
    """A domain with its digest algorithms in order of preference."""
    name, algorithms, _ = row
    offered = tuple(algorithms.split(","))
    if not name or not set(offered) <= _ALGORITHMS:
        raise BadDirectory(f"domain {name!r}: unknown digest algorithms {algorithms!r}")
    return Domain(name, offered)


LOADER = DomainsLoader()
