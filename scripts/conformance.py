"""What of the checklist is proven, by the reports of one or more test runs.

    conformance.py REPORT…          print the table and write docs/conformance.md
    conformance.py --check REPORT…  print the last line; docs/conformance.md must say the same

Both fail when an id that docs/conformance.md lists as proven has lost its proof. With --check a
test that was skipped is forgiven where another one of the id has passed: a machine may lack IPv6.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.conformance import CHECKLIST, checklist_ids  # noqa: E402

PAGE: Final = Path(os.environ.get("CONFORMANCE_PAGE") or ROOT / "docs" / "conformance.md")
HEAD: Final = """# What is proven of the checklist

Written by `make conformance` from the tests that ran; not to be edited. Each id is a line of
[conformance-checklist.md](conformance-checklist.md), proven when all tests that name it have passed. `make test` fails when an id
listed here loses its proof. Where we do otherwise than a line says, on purpose, its row says what is proven.
"""
REASONS: Final = {
    "EVT": "presence and event packages are not there yet; SUBSCRIBE, NOTIFY and PUBLISH pass through",
    "WSK": "SIP over WebSocket is not there yet",
    "MSG-02": "messages are not stored yet: one that reaches nobody is answered 480",
    "MSG-06": "messages are not stored yet",
    "REG-27": "GRUU is not there yet",
    "REG-28": "GRUU is not there yet",
    "REG-29": "GRUU is not there yet",
    "REG-30": "GRUU is not there yet",
    "REG-31": "GRUU is not there yet",
    "REG-34": "push is not there yet; its parameters are kept as they came",
    "SEC-12": "STIR is not there yet; Identity passes untouched",
}
"""Why there is no proof: by id, or by the letters of a section."""
DEPARTURES: Final = {
    "DIG-01": "our services are asked for by the proxy before them: 407; only the registrar says 401",
    "DIG-12": "a count may be overtaken by 32 others, as datagrams are; each is good once",
    "DIG-19": "we give no opaque, so none is wrong",
    "MSG-04": "one outstanding per peer and worker: several workers of a node do not tell each other",
    "PRX-23": "the 2xx of a registered phone that said nothing for 4 s gets ACK and BYE from us when another "
    "final has gone up",
    "PRX-25": "a registered phone counts as 408 when it has said nothing for 4 s, until it says something",
    "PRX-35": "a CANCEL of nothing we know is 481: its INVITE was never forwarded without state",
    "REG-12": "503 with Retry-After where the store has failed: it may be back soon",
    "TRP-02": "the ACK of a 2xx goes by UDP whatever its size: it has no transaction to be told that "
    "its connection was refused",
    "TRP-07": "a maddr counts within the sender's network, never for multicast; a phone behind a NAT is answered at its source",
}
"""What is proven of these ids is this (docs/architecture.md says more)."""
NO_REASON: Final = "no test names it yet"


class Proof(NamedTuple):
    """The tests of one id."""

    passed: list[str]
    others: list[str]
    """`outcome test` of those that failed, were skipped or are expected to fail."""

    @property
    def holds(self) -> bool:
        """All its tests passed, and there is one."""
        return bool(self.passed) and not self.others


def read_reports(paths: list[Path], forgive_skips: bool = False) -> dict[str, Proof]:
    """Id → proof, parameters of tests left out."""
    passed: defaultdict[str, set[str]] = defaultdict(set)
    others: defaultdict[str, set[str]] = defaultdict(set)
    for node, entry in (item for path in paths for item in json.loads(path.read_text()).items()):
        test = node.partition("[")[0]
        for name in entry["ids"]:
            if entry["outcome"] == "passed":
                passed[name].add(test)
            else:
                others[name].add(f"{entry['outcome']} {node}")
    if forgive_skips:
        for name in passed:
            skipped = {text for text in others[name] if text.startswith("skipped ")}
            others[name] -= skipped
            passed[name] |= {text.split()[1].partition("[")[0] for text in skipped}
    return {name: Proof(sorted(passed[name]), sorted(others[name])) for name in {*passed, *others}}


def reason(name: str) -> str:
    """Why this id has no proof."""
    return REASONS.get(name) or REASONS.get(name[:3]) or NO_REASON


def page(proofs: dict[str, Proof]) -> str:
    """The text of docs/conformance.md."""
    ids = checklist_ids()
    proven = [name for name in ids if name in proofs and proofs[name].holds]
    lines = [HEAD, f"**{len(proven)} of {len(ids)} proven.**"]
    sections = re.split(r"^## ", CHECKLIST.read_text(), flags=re.MULTILINE)[1:]
    for section in sections:
        lines += ["", f"## {section.splitlines()[0]}", "", "| id | proven by |", "|---|---|"]
        lines += [
            f"| {name} | {shown(name, proofs)} |"
            for name in re.findall(r"^- ([A-Z]{3}-\d\d) \|", section, re.MULTILINE)
        ]
    return "\n".join(lines) + "\n"


def shown(name: str, proofs: dict[str, Proof]) -> str:
    """A row's right side."""
    if name not in proofs or not proofs[name].holds:
        return f"not proven: {reason(name)}"
    by_file: defaultdict[str, list[str]] = defaultdict(list)
    for test in proofs[name].passed:
        file, _, function = test.partition("::")
        by_file[file.removeprefix("tests/")].append(function)
    tests = "; ".join(f"{file}: {', '.join(names)}" for file, names in sorted(by_file.items()))
    return f"{tests}; as we do it: {DEPARTURES[name]}" if name in DEPARTURES else tests


def proven_on(text: str) -> set[str]:
    """The ids that a page lists as proven."""
    rows = re.findall(r"^\| ([A-Z]{3}-\d\d) \| (.*) \|$", text, re.MULTILINE)
    return {name for name, by in rows if not by.startswith("not proven")}


def table(proofs: dict[str, Proof]) -> None:
    """Print id, tests, passed."""
    print(f"{'id':8} {'tests':>5} {'passed':>6}")
    for name in checklist_ids():
        proof = proofs.get(name, Proof([], []))
        tests = len(proof.passed) + len(proof.others)
        note = "" if proof.holds else f"  {', '.join(proof.others) or reason(name)}"
        print(f"{name:8} {tests:5} {len(proof.passed):6}{note}")


def main() -> int:
    """0: as it should be; 1: a proof is lost, or the page is out of date."""
    check = sys.argv[1] == "--check"
    proofs = read_reports([Path(name) for name in sys.argv[2 if check else 1 :]], check)
    before = PAGE.read_text() if PAGE.exists() else ""
    after = page(proofs)
    ids = checklist_ids()
    if not check:
        table(proofs)
    lost = sorted(proven_on(before) - proven_on(after))
    for name in lost:
        others = proofs.get(name, Proof([], [])).others
        print(f"{name} has lost its proof: {', '.join(others) or 'no test names it any more'}")
    if check and not lost and before != after:
        print("docs/conformance.md is out of date: run make conformance, and commit it")
    if not check and not lost:
        PAGE.write_text(after)
    print(f"{len(proven_on(after))} of {len(ids)} proven")
    return 1 if lost or (check and before != after) else 0


if __name__ == "__main__":
    sys.exit(main())
