"""Compile sipcore to C with mypyc: the same source, the same tests, three quarters of the CPU.

`make compile` leaves the result in `build/compiled`; `manage.py sipd` uses it for as long as it was
made from the source that is there, and runs the source as it is otherwise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from voip_portal.bridge.compiled import FINGERPRINT, FOLDER, fingerprint, is_current  # noqa: E402

INTERPRETED = (
    "sipcore/apps/user_agent.py",  # applications of others inherit from it
    "sipcore/apps/own_call.py",  # of a piece with it
    "sipcore/apps/echo.py",  # inherits from it
    "sipcore/apps/callback.py",
    "sipcore/apps/after_hours.py",
    "sipcore/transport/memory.py",  # for tests
    "sipcore/node/streams.py",  # asyncio and files: nothing to gain
    "sipcore/node/tls.py",
    "sipcore/node/resolver.py",
    "sipcore/node/dns_server.py",  # inherits from a library
    "sipcore/node/spool.py",
    "sipcore/node/journal.py",
    "sipcore/node/entropy.py",
)

SETUP = """
import sys
from setuptools import Extension, setup
from mypyc.build import mypycify
modules, sys.argv[1:] = sys.argv[1:], ["build_ext", "--inplace", "--build-temp", "objects"]
extensions = mypycify([*modules], opt_level="2", debug_level="0")
extensions.append(Extension("sipcore.message._rows", ["sipcore/message/_rows.c"], extra_compile_args=["-O2"]))
setup(name="sipcore", packages=[], py_modules=[], ext_modules=extensions)
"""


def main() -> int:
    """0: compiled, or nothing to do; 2: something is missing; 1: the compiler's complaint."""
    if is_current(ROOT):
        return 0
    if problem := missing():
        print(problem, file=sys.stderr)
        return 2
    work = ROOT / FOLDER.with_name("compiling")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(
        ROOT / "sipcore", work / "sipcore", ignore=shutil.ignore_patterns("__pycache__")
    )
    # Of the copy, and now: the source may be edited while the compiler is at work.
    (work / FINGERPRINT).write_text(fingerprint(work))
    (work / "setup.py").write_text(SETUP)
    shutil.copy(ROOT / "pyproject.toml", work)
    modules = sorted(
        str(path.relative_to(work))
        for path in (work / "sipcore").rglob("*.py")
        if str(path.relative_to(work)) not in INTERPRETED
    )
    print(f"Compiling {len(modules)} modules of sipcore, which takes a minute or two …", flush=True)
    built = subprocess.run(
        [sys.executable, "setup.py", *modules],
        cwd=work, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if built.returncode:
        print(built.stdout[-4000:], file=sys.stderr)
        return 1
    for rubbish in ("build", "objects", ".mypy_cache"):
        shutil.rmtree(work / rubbish, ignore_errors=True)
    folder = ROOT / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(work, folder)
    return 0


def missing() -> str:
    """What the compiler needs and is not there, as a sentence that says what to do."""
    if shutil.which(os.environ.get("CC", "gcc")) is None:
        return "Missing: gcc. As root: apt-get install -y gcc python3-dev"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Missing: Python.h. As root: apt-get install -y python3-dev"
    return ""


if __name__ == "__main__":
    sys.exit(main())
