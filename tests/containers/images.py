"""Build the images that the compose file names: `python -m tests.containers.images`.

Ours from its Dockerfile. The three of others are made from Debian's packages where the store does not
have them: Python's, PostgreSQL's and Redis's, with entry points that do what the official ones do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
STORE: Final = Path(os.environ.get("CONTAINERS_STORE") or "/var/tmp/voip-containers")  # noqa: S108 (a folder for root alone)
"""Images, containers and volumes of these tests, and nothing else's."""
OURS: Final = "localhost/voip:latest"
PYTHON: Final = "docker.io/library/python:3.11-slim-bookworm"
OTHERS: Final = {
    "docker.io/library/postgres:15-bookworm": "postgres",
    "docker.io/library/redis:7-bookworm": "redis",
}
PACKAGES: Final = "ca-certificates,python3,python3-venv,python3-pip,libpython3.11-dev"


def environment() -> dict[str, str]:
    """Have buildah and podman keep to the store of these tests."""
    STORE.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {
        "storage.conf": f'[storage]\ndriver = "overlay"\ngraphroot = "{STORE}/graph"\n'
        f'runroot = "{STORE}/run"\n',
        "containers.conf": '[network]\nnetwork_backend = "netavark"\n'
        f'network_config_dir = "{STORE}/networks"\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n'
        f'tmp_dir = "{STORE}/tmp"\n',  # noqa: S108 (below the store)
        "registries.conf": 'unqualified-search-registries = ["docker.io"]\n',
    }
    for name, text in files.items():
        (STORE / name).write_text(text)
    return {
        **os.environ,
        "CONTAINERS_STORAGE_CONF": str(STORE / "storage.conf"),
        "CONTAINERS_CONF": str(STORE / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(STORE / "registries.conf"),
    }


def main() -> None:
    """Build what is missing, and ours from what lies here now."""
    if not has(PYTHON):
        print("Making a base from Debian's packages …", flush=True)
        python_base()
    for image, name in OTHERS.items():
        if not has(image):
            print(f"Building {image} …", flush=True)
            build(image, HERE / f"{name}.Dockerfile", HERE)
    print(f"Building {OURS} …", flush=True)
    build(OURS, ROOT / "docker" / "Dockerfile", ROOT)


def has(image: str) -> bool:
    """Whether the store has it."""
    command = ["buildah", "inspect", "--type", "image", image]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    return done.returncode == 0


def python_base() -> None:
    """An image that has what the official one of Python has and our Dockerfile uses."""
    rootfs = STORE / "rootfs"
    if not (rootfs / "usr/bin/pip3").exists():
        shutil.rmtree(rootfs, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(rootfs))
    (rootfs / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    container = run("buildah", "from", "scratch").strip()
    try:
        run("buildah", "add", "-q", container, str(rootfs), "/")
        run("buildah", "config", "--cmd", '["python3"]', container)
        run("buildah", "commit", "-q", container, PYTHON)
    finally:
        run("buildah", "rm", container)


def build(image: str, dockerfile: Path, context: Path) -> None:
    """What `docker build` does. Where this machine has authorities of its own, pip is told."""
    options = []
    if authorities := os.environ.get("PIP_CERT"):
        options += [
            "--volume",
            f"{authorities}:{authorities}:ro",
            "--env",
            f"PIP_CERT={authorities}",
        ]
    command = ["buildah", "bud", "--isolation", "chroot", "--layers", "--pull-never", *options]
    command += ["-t", image, "-f", str(dockerfile), str(context)]
    subprocess.run(command, env=environment(), check=True, stdout=sys.stderr)


def run(*command: str) -> str:
    """The output of a command that must not fail."""
    done = subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
