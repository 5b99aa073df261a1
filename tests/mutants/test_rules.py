"""Each rule that `make mutants` breaks still names code that is there, and is broken by other words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.rule import NoLongerApplies, Rule, break_rule
from tests.mutants.rules import RULES

pytestmark = pytest.mark.source
ROOT = Path(__file__).resolve().parents[2]
LINES = """
class Door:
    def opens(self, key):
        return (key.is_right  # é
                and not key.is_lost)

def opens(key):
    return key.is_right and key.is_right
"""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_a_rule_names_code_that_is_there(rule: Rule) -> None:
    path, text = break_rule(ROOT, rule)
    compile(text, path, "exec")
    assert text != path.read_text()


def test_no_two_rules_say_the_same() -> None:
    assert len({rule.says for rule in RULES}) == len(RULES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sipcore" / "doors").mkdir(parents=True)
    (tmp_path / "sipcore" / "doors" / "door.py").write_text(LINES)
    return tmp_path


def test_an_expression_is_found_whatever_its_lines(root: Path) -> None:
    rule = Rule("", "doors", "Door.opens", "key.is_right and not key.is_lost", "True")
    assert break_rule(root, rule)[1] == LINES.replace(
        "key.is_right  # é\n                and not key.is_lost", "(True)"
    )


def test_a_statement_is_replaced_whole(root: Path) -> None:
    whole = "return key.is_right and not key.is_lost"
    text = break_rule(root, Rule("", "doors", "Door.opens", whole, "pass"))[1]
    assert text.count("pass") == 1
    assert "is_lost" not in text


@pytest.mark.parametrize(
    ("function", "right", "complaint"),
    [
        ("Door.shuts", "key.is_right", "sipcore/doors has Door.shuts 0 times"),
        ("Door.opens", "key.is_wrong", "Door.opens in sipcore/doors/door.py has 'key.is_wrong' 0 times"),
        ("opens", "key.is_right", "opens in sipcore/doors/door.py has 'key.is_right' 2 times"),
    ],
)
def test_what_is_not_there_once_no_longer_applies(
    root: Path, function: str, right: str, complaint: str
) -> None:
    with pytest.raises(NoLongerApplies) as refused:
        break_rule(root, Rule("A door", "doors", function, right, "True"))
    assert str(refused.value) == f"'A door': {complaint}"
