"""Are all programs there that the tests need? Names the missing ones, or installs them as root.

`programs.py instructions` and `programs.py containers` ask for those that `make` of that name needs instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    """A program and the Debian packages that bring it."""

    command: str
    packages: tuple[str, ...]
    why: str
    places: str = ""
    """A pattern below / for programs that are not in PATH."""

    def missing(self) -> bool:
        if self.places and any(Path("/").glob(self.places)):
            return False
        return shutil.which(self.command) is None


COMPILER = (
    Program("gcc", ("gcc",), "compiles sipcore"),
    Program("Python.h", ("python3-dev",), "compiles sipcore", "usr/include/python3*/Python.h"),
)
PROGRAMS = (
    Program("sipp", ("sip-tester",), "plays SIP peers"),
    Program("baresip", ("baresip-core",), "is a softphone"),
    Program("chromium", ("chromium",), "opens the pages"),
    Program("initdb", ("postgresql",), "PostgreSQL", "usr/lib/postgresql/*/bin/initdb"),
    Program("redis-server", ("redis-server",), "the other broker"),
    Program("nsd", ("nsd",), "is the DNS", "usr/sbin/nsd"),
    Program("ip", ("iproute2",), "makes networks", "*bin/ip"),
    Program("iptables", ("iptables",), "is the NAT", "usr/sbin/iptables"),
    *COMPILER,
    Program("msgfmt", ("gettext",), "checks the translations"),
)
CONTAINERS = (
    Program("debootstrap", ("debootstrap",), "makes the base of the images"),
    Program("buildah", ("buildah",), "builds images"),
    Program("podman", ("podman",), "runs containers"),
    Program("crun", ("crun",), "runs them without control groups"),
    Program("netavark", ("netavark",), "is their network", "usr/lib/podman/netavark"),
    Program("aardvark-dns", ("aardvark-dns",), "is their DNS", "usr/lib/podman/aardvark-dns"),
    *(program for program in PROGRAMS if program.command in ("chromium", "ip", "iptables")),
)
COUNTING = (Program("valgrind", ("valgrind",), "counts instructions"), *COMPILER)

OTHER_TARGETS = {"instructions": COUNTING, "containers": CONTAINERS}


def main() -> int:
    """0: all there; 2: something is missing."""
    others = OTHER_TARGETS.get(" ".join(sys.argv[1:]))
    if os.environ.get("PEERS") == "0" and others is None:
        return 0
    wanted = others or PROGRAMS
    missing = [program for program in wanted if program.missing()]
    if missing and os.getuid() == 0:
        install(packages(missing))
        missing = [program for program in wanted if program.missing()]
    if not missing:
        return 0
    for program in missing:
        print(f"Missing: {program.command} ({program.why})", file=sys.stderr)
    line = " ".join(packages(missing))
    print(f"As root: apt-get install -y --no-install-recommends {line}", file=sys.stderr)
    if others is None:
        print("Or run the other tests: make test PEERS=0", file=sys.stderr)
    return 2


def packages(programs: list[Program]) -> list[str]:
    """Debian packages, each once."""
    return sorted({package for program in programs for package in program.packages})


def install(names: list[str]) -> None:
    """Install Debian packages; waits for another apt. What failed is noticed by the caller."""
    if shutil.which("apt-get") is None:
        return
    print(f"Installing {' '.join(names)} …", flush=True)
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*apt, "update"], env=env, check=False)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", *names], env=env, check=False)


if __name__ == "__main__":
    sys.exit(main())
