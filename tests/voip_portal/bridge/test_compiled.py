"""When the daemon may run the compiled sipcore."""

from __future__ import annotations

from pathlib import Path

import pytest

from voip_portal.bridge.compiled import FINGERPRINT, FOLDER, fingerprint, is_current


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose core was compiled as it is."""
    (tmp_path / "sipcore" / "message").mkdir(parents=True)
    (tmp_path / "sipcore" / "__init__.py").write_text("")
    (tmp_path / "sipcore" / "message" / "scan.py").write_text("LIMIT = 1\n")
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / FINGERPRINT).write_text(fingerprint(tmp_path))
    return tmp_path


def test_it_is_run_while_it_is_that_of_the_source(project: Path) -> None:
    assert is_current(project)


def test_an_edited_source_is_never_run_as_it_was(project: Path) -> None:
    (project / "sipcore" / "message" / "scan.py").write_text("LIMIT = 2\n")
    assert not is_current(project)


def test_a_new_or_moved_module_counts_as_an_edit(project: Path) -> None:
    scan = project / "sipcore" / "message" / "scan.py"
    scan.rename(scan.with_name("scanner.py"))
    assert not is_current(project)


def test_nothing_compiled_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "sipcore").mkdir()
    assert not is_current(tmp_path)
