"""Every number that bounds something stands in the `limits.py` of its package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import sipcore

ROOT = Path(str(sipcore.__file__)).parent

NO_LIMITS = {
    # What an RFC or a wire format of ours fixes: another number would be another protocol.
    "auth/nonces.py": {"NONCE_LENGTH", "_MAX_COUNT"},
    "bindings/binding.py": {"DEFAULT_Q"},
    "bindings/flow_token.py": {"_HEAD_BYTES"},
    "campus/admission.py": {"SERVICE"},
    "calls/subscriptions.py": {"AS_BEFORE", "OVER"},
    "calls/token.py": {"TAG_BYTES", "_LINE_BYTES"},
    "dialog/own.py": {"T1_S", "T2_S"},
    "eventlog/context.py": {"CONTEXT_BYTES"},
    "message/grammar.py": {"UINT32_MAX"},
    "message/message.py": {"MAX_CSEQ"},
    "message/request.py": {"MAX_CSEQ"},
    "node/datagrams.py": {"_IP_RECVERR", "_IPV6_RECVERR", "_SO_MEMINFO", "_DROPS_AT"},
    "node/streams.py": {"HALF_A_PING"},
    "proxy/branch.py": {"FLOW_FAILED"},
    "proxy/forward.py": {"DEFAULT_MAX_FORWARDS"},
    "registrar/answers.py": {"_SPREAD_BITS"},
    "registrar/wanted.py": {"MALFORMED_EXPIRES_S", "BRIEF_ALLOWED_S", "_MAX_EXPIRES_S"},
    "transport/packed.py": {"_NAMED"},
    "transport/sealed.py": {"_IV_BYTES", "_MAC_BYTES"},
    "transport/stun.py": {"HEADER_BYTES", "_OPTIONAL"},
    "transport/way_back.py": {"DEFAULT_PORT"},
    # What bounds nothing: a leap, a sign, the size from which a heap is worth tidying.
    "calls/ending.py": {"ADOPTED_CSEQ_MARGIN"},
    "transaction/sender.py": {"BRANCH_BITS"},
    "transaction/table.py": {"NO_LIMIT"},
    "transaction/timers.py": {"REBUILD_FROM", "LANES", "NO_LANE"},
    "transport/memory.py": {"EPOCH"},
}


def numbers_of(path: Path) -> Iterator[str]:
    """The constants of a module that are written as a number, or as a sum of numbers."""
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper() and is_number(node):
                yield target.id


def is_number(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    parts = list(ast.walk(value)) if value is not None else []
    numbers = [part.value for part in parts if isinstance(part, ast.Constant)]
    return (
        all(isinstance(part, allowed) for part in parts)
        and bool(numbers)
        and all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    )


def elsewhere() -> dict[str, set[str]]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        if path.name != "limits.py" and (names := set(numbers_of(path))):
            found[str(path.relative_to(ROOT))] = names
    return found


def test_a_number_that_bounds_something_stands_in_the_limits_of_its_package() -> None:
    for path, names in elsewhere().items():
        new = sorted(names - NO_LIMITS.get(path, set()))
        assert not new, (
            f"sipcore/{path} declares {', '.join(new)}: what bounds something belongs into "
            f"sipcore/{path.split('/')[0]}/limits.py, with its unit and reason; what a protocol "
            "fixes, into NO_LIMITS of this test."
        )


def test_what_is_said_to_be_no_limit_exists() -> None:
    gone = {path: names - elsewhere().get(path, set()) for path, names in NO_LIMITS.items()}
    assert not any(gone.values()), gone


def test_all_kinds_of_numbers_are_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "MAX_A: Final = 5\nMOST_B = 1 << 20\n_C_PER_D: int = -(2**8 - 1)\nE_S: Final = 0.5\n"
        'text = 5\nNAME: Final = "a" * 3\nFLAG = True\nA_TABLE = {1: 2}\nF: int\nNEVER = float("inf")\n'
    )
    assert list(numbers_of(module)) == ["MAX_A", "MOST_B", "_C_PER_D", "E_S"]
