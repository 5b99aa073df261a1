"""Fuzz the parser for a while: `python -m tests.fuzz [SECONDS] [FILE…]`.

Each target runs for its third of the time, in a process of its own, guided by the branches it
reaches (atheris: libFuzzer for Python). What reaches something new is kept in `var/fuzz` and begun
with the next time; `--keep` takes the smallest set that reaches as much into the repository. An
input that breaks a promise is saved, and how to replay it is printed: FILE… does that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
FOUND = ROOT / "var" / "fuzz"
MAX_BYTES = 4096


def main(arguments: list[str]) -> int:
    """0: nothing found; 1: an input broke a promise."""
    if arguments[:1] == ["--target"]:
        return run_target(arguments[1], arguments[2:])
    files = [a for a in arguments if not a.isdigit() and not a.startswith("--")]
    if files:
        return replay(files)
    seconds = next((int(a) for a in arguments if a.isdigit()), 60)
    failed = []
    for name in sorted(path.name for path in CORPUS.iterdir()):
        found = FOUND / name
        found.mkdir(parents=True, exist_ok=True)
        options = [f"-max_len={MAX_BYTES}", f"-artifact_prefix={FOUND}/{name}-", "-timeout=20"]
        if "--keep" in arguments:
            options += ["-merge=1", "-use_counters=0", str(CORPUS / name), str(found)]
        else:
            options += [f"-max_total_time={max(1, seconds // 3)}", "-print_final_stats=1"]
            options += [str(found), str(CORPUS / name)]
        print(f"--- {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", "--target", name, *options]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    for name in failed:
        for file in sorted(FOUND.glob(f"{name}-*")):
            print(f"{name} failed; replay: python -m tests.fuzz {file}")
    return 1 if failed else 0


def run_target(name: str, options: list[str]) -> int:
    """Hand this process over to the fuzzer."""
    import atheris

    with atheris.instrument_imports(include=["sipcore"]):
        from tests.fuzz.targets import TARGETS

    # It starts itself anew in a shell to compare inputs, by the name it is given here.
    own_name = f"{sys.executable} -m tests.fuzz --target {name}"
    atheris.Setup([own_name, *options], TARGETS[name])
    atheris.Fuzz()
    return 0


def replay(files: list[str]) -> int:
    """Give each file to the target that its name begins with."""
    from tests.fuzz.targets import TARGETS

    for file in map(Path, files):
        name = file.name.partition("-")[0]
        TARGETS[name if name in TARGETS else file.parent.name](file.read_bytes())
        print(f"{file}: nothing wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
