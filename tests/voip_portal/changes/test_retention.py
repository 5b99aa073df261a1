"""Old changes go by whole versions, so that a node finds all of one or none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from voip_portal.changes import retention
from voip_portal.changes.models import Change

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def change() -> Callable[..., Change]:
    Change.objects.all().delete()

    def made(version: int, day: int) -> Change:
        at = START + timedelta(days=day)
        return Change.objects.create(version=version, table_name="lines_line", op="update", at=at)

    return made


def versions() -> list[int]:
    return list(Change.objects.order_by("id").values_list("version", flat=True))


def test_old_versions_go_and_new_ones_stay(change: Callable[..., Change]) -> None:
    for version, day in ((1, 1), (2, 1), (2, 1), (3, 20), (4, 30)):
        change(version, day)
    assert retention.forget_old(START + timedelta(days=10)) == 3
    assert versions() == [3, 4]
    assert retention.forget_old(START + timedelta(days=10)) == 0


def test_the_latest_version_stays_however_old(change: Callable[..., Change]) -> None:
    for version in (1, 2, 2):
        change(version, 1)
    assert retention.forget_old(START + timedelta(days=900)) == 1
    assert versions() == [2, 2]


def test_a_version_is_never_halved(
    change: Callable[..., Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for version in (1, 2, 2, 2, 3, 4):
        change(version, 1)
    last = retention._last_old(START + timedelta(days=10), 4)
    Change.objects.filter(version__lte=last).delete()
    assert versions() == [3, 4]
    assert retention.forget_old(START + timedelta(days=10)) == 1
    assert versions() == [4]


def test_values_are_forgotten_in_the_named_rows_only(change: Callable[..., Change]) -> None:
    for key in ("1", "2"):
        row = change(int(key), 1)
        row.row_key, row.before, row.after = key, None, {"id": int(key), "label": "Desk"}
        row.save()
    assert retention.forget_values("lines_line", [1], ("label",)) == 1
    assert retention.forget_values("lines_line", [1], ("label",)) == 0
    assert [c.after["label"] for c in Change.objects.order_by("id")] == [None, "Desk"]
