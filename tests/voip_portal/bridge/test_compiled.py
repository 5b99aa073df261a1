"""When the daemon may run the compiled sipcore."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

from voip_portal.bridge.compiled import FINGERPRINT, FOLDER, fingerprint, is_current

ROOT = Path(__file__).parent.parent.parent.parent


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


def test_what_is_edited_during_the_minutes_of_compiling_counts_as_edited(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = ROOT / "scripts" / "compile.py"
    spec = importlib.util.spec_from_file_location("compile_script", script)
    assert spec is not None
    assert spec.loader is not None
    compiler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiler)
    scan = project / "sipcore" / "message" / "scan.py"
    scan.write_text("LIMIT = 2\n")
    (project / "pyproject.toml").write_text("")

    def run(command: list[str], **kw: object) -> subprocess.CompletedProcess[str]:
        scan.write_text("LIMIT = 3\n")
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr(compiler, "ROOT", project)
    monkeypatch.setattr(compiler, "missing", lambda: "")
    monkeypatch.setattr(compiler.subprocess, "run", run)
    assert compiler.main() == 0
    assert not is_current(project)
    scan.write_text("LIMIT = 2\n")  # as it was copied
    assert is_current(project)


def test_nothing_compiled_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "sipcore").mkdir()
    assert not is_current(tmp_path)
