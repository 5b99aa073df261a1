"""What every part of the directory has to be, whoever adds one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from sipcore.directory import Delta, Part
from voip_portal.changes.registry import REGISTRY
from voip_portal.directory.discovery import LOADERS
from voip_portal.directory.loader import Loader

ROOT = Path(__file__).resolve().parents[3]
EACH = pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.name)


@EACH
def test_a_part_is_empty_where_there_are_no_rows(loader: Loader[Any]) -> None:
    empty = loader.kind()
    assert isinstance(empty, Part)
    assert list(loader.rows_of(empty)) == list(loader.rows_of(empty.changed(Delta())))


@EACH
def test_its_tables_are_watched_and_have_a_model(loader: Loader[Any]) -> None:
    tables = {model._meta.db_table for model in apps.get_models()}
    watched = {each.table for each in REGISTRY}
    assert {table.table for table in loader.tables} <= watched & tables


def test_parts_have_names_and_tables_of_their_own() -> None:
    names = [loader.name for loader in LOADERS]
    tables = [table.table for loader in LOADERS for table in loader.tables]
    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)


def test_the_page_for_whoever_adds_one_names_files_that_are_there() -> None:
    page = (ROOT / "docs" / "add-a-table.md").read_text()
    named = set(re.findall(r"`((?:sipcore|voip_portal|docs)/[\w/.-]+)`", page))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
