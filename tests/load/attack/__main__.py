"""How much of each flood the service bears: `make attack`, under ten minutes, on loopback only.

Starts a SIP daemon of its own, doubles the rate of each flood from each kind of source until less
than a quarter of a core is free, a registered phone is not answered in time, or datagrams are lost,
and writes the highest rate before that into docs/benchmarks.md, with the reason for the end.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import pstats
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from tests.load.attack.floods import KINDS, SOURCES, Kind, Target, send_flood
from tests.load.attack.phone import Experience, RegisteredPhone
from tests.support.campus import Campus, wait_for
from tests.support.ua import Agent
from tests.support.wire import challenge_of

ROOT: Final = Path(__file__).resolve().parents[3]
PAGE: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- make attack: begin -->"
END: Final = "<!-- make attack: end -->"
MOST_CPU: Final = 0.75
"""Of a core: a quarter stays free."""
LEAST_ANSWERED: Final = 0.99
MOST_MEDIAN_MS: Final = 50.0
MOST_LOST: Final = 0.01
"""Of the datagrams, at the daemon's own socket: a rate that it does not read is not borne."""
LEAST_SENT: Final = 0.95
"""Of what a step is to send: below, the generator is at its end, not the server."""
FIRST: Final = {"": 1250, "TCP": 250, "TLS": 250}
"""Datagrams and connections a second of the first step."""
LAST: Final = {"": 20_000, "TCP": 2000, "TLS": 2000}
TICK: Final = os.sysconf("SC_CLK_TCK")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Step:
    """One rate. CPU in seconds per second of the flood, memory in MB, disk in bytes.

    `ended` says why it is not borne.
    """

    rate: int
    cpu: float
    system: float
    lost: float
    met: Experience
    rss: float
    disk: int
    others: float
    ended: str


class Server:
    """The daemon as /proc shows it."""

    def __init__(self, campus: Campus, pid: int, victim: Agent) -> None:
        self.campus, self.pid, self.victim = campus, pid, victim

    def cpu(self) -> tuple[float, float]:
        """User and system seconds so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / TICK, int(fields[12]) / TICK

    def core(self) -> str:
        """Which sipcore it runs."""
        mapped = Path(f"/proc/{self.pid}/maps").read_text()
        return "compiled" if "/build/compiled/" in mapped else "not compiled"

    def rss(self) -> float:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]

    def dropped(self) -> int:
        """Datagrams that found no room at the daemon's socket."""
        rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
        port = f"{self.campus.sip_port:04X}"
        return sum(int(row[12]) for row in rows if row[1].endswith(f":{port}"))

    def disk(self) -> int:
        """Bytes of all that it keeps."""
        files = self.campus.var.rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file())


def busy() -> float:
    """Busy seconds of all cores so far."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def measure(
    server: Server,
    phone: RegisteredPhone,
    to: Target,
    kind: Kind,
    sources: str,
    rate: int,
    s: float,
) -> Step:
    """One step: the flood and the phone side by side."""
    first = next(_numbers) << 20
    ours, theirs = multiprocessing.Pipe()
    sender = multiprocessing.get_context("fork").Process(
        target=send_flood, args=(kind, sources, to, rate, s, first, theirs)
    )
    sender.start()
    ours.recv()
    user, system = server.cpu()
    dropped, disk, began, all_busy = server.dropped(), server.disk(), time.monotonic(), busy()
    ours.send("go")
    met = phone.live(s)
    sent = ours.recv()
    lasted = time.monotonic() - began
    used = [now - before for now, before in zip(server.cpu(), (user, system), strict=True)]
    lost = (server.dropped() - dropped) / max(1, sent)
    others = (busy() - all_busy - sum(used)) / lasted
    rss = server.rss()
    ours.send("count")
    still_open = ours.recv()
    ours.send("end")
    sender.join()
    if kind.make is None:
        print(f"  of {sent} connections {still_open} are open")
    flood_lasted = min(lasted, s)
    cpu, share_sent = sum(used) / flood_lasted, sent / (rate * s)
    reasons = {
        f"CPU {cpu:.2f}": cpu > MOST_CPU,
        f"{met.share:.1%} answered": met.share < LEAST_ANSWERED,
        f"median {met.median:.0f} ms": met.median > MOST_MEDIAN_MS,
        f"{lost:.0%} lost": lost > MOST_LOST,
        f"generator sent {share_sent:.0%}": share_sent < LEAST_SENT,
    }
    ended = ", ".join(reason for reason, true in reasons.items() if true)
    system_share = used[1] / flood_lasted
    grown = server.disk() - disk
    return Step(rate, cpu, system_share, lost, met, rss, grown, others, ended)


def highest(
    server: Server, phone: RegisteredPhone, to: Target, kind: Kind, sources: str, s: float
) -> list[Step]:
    """All steps of one flood, up to the first that is not borne."""
    steps: list[Step] = []
    rate = FIRST[kind.stream]
    server.victim.drain()  # it rings, and answers nothing
    to = replace(to, nonce=challenge_for(server.victim)["nonce"])
    while rate <= LAST[kind.stream] and not (steps and steps[-1].ended):
        steps.append(measure(server, phone, to, kind, sources, rate, s))
        step = steps[-1]
        print(
            f"{kind.name:28} {sources:15} {rate:6}/s  CPU {step.cpu:.2f} (system {step.system:.2f}), "
            f"lost {step.lost:.1%}, {step.met.share:.1%} answered, {step.met.median:.1f} ms, "
            f"RSS {step.rss:.0f}, disk {step.disk}, others {step.others:.2f}  {step.ended}",
            flush=True,
        )
        rate *= 2
        time.sleep(0.3)
    return steps


def row(kind: Kind, sources: str, steps: list[Step]) -> str:
    """A row of the table: the highest rate that was borne, and why the next was not."""
    borne = [step for step in steps if not step.ended]
    why = steps[-1].ended
    end = f"{steps[-1].rate}: {why}" if why else "not reached"
    if not borne:
        unreached = f"**unreached** (wanted {kind.wanted})" if kind.wanted else "below the first"
        return f"| {kind.name} | {sources} | {unreached} | | | | | | {end} |"
    step = borne[-1]
    mark = f" (**wanted {kind.wanted}: unreached**)" if step.rate < kind.wanted else ""
    return (
        f"| {kind.name} | {sources} | {step.rate}{mark} | {step.cpu:.2f} | {step.met.share:.1%} "
        f"| {step.met.median:.1f} | {step.rss:.0f} | {step.disk} | {end} |"
    )


# -- The service ----------------------------------------------------------------------------------


@contextmanager
def service(profile: Path | None = None) -> Iterator[tuple[Server, RegisteredPhone, Target]]:
    """A daemon of its own with two registered phones; with `profile`, under Python's profiler."""
    with tempfile.TemporaryDirectory() as folder, Campus.new(Path(folder), lines=3) as campus:
        campus.start_sipd()
        if profile is not None:
            restart_profiled(campus, profile)
        caller, called = campus.phone(), campus.line()
        with caller, campus.phone(called) as victim:
            caller.registered()
            victim.registered()
            challenge = challenge_for(victim)
            to = Target(
                "127.0.0.1",
                campus.sip_port,
                campus.tls_port,
                called.username,
                challenge["realm"],
                challenge["nonce"],
            )
            pid = campus._processes[-1].pid
            server = Server(campus, pid, victim)
            yield server, RegisteredPhone(caller, campus.uri("echo")), to


def challenge_for(victim: Agent) -> dict[str, str]:
    """What the server asks of the phone that is attacked, now."""
    asked = victim.register_request()
    victim.send(asked)
    challenge = challenge_of(victim.final(asked), "SHA-256")
    assert challenge is not None
    victim.registered()  # who never answers is taken for a phone that knows MD5 alone
    return challenge


def restart_profiled(campus: Campus, profile: Path) -> None:
    """The same daemon with the same configuration, run by cProfile."""
    pid = campus._processes[-1].pid
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")[:-1]
    campus.stop()
    module = command.index("-m")
    profiled = [*command[:module], "-m", "cProfile", "-o", str(profile), *command[module:]]
    environment = dict(pair.split("=", 1) for pair in pairs)
    with (campus.var / "log" / "profiled.out").open("wb") as out:
        campus._processes.append(
            subprocess.Popen(profiled, env=environment, cwd=ROOT, stdout=out, stderr=out)
        )
    wait_for("the profiled daemon", campus._sip_answers, 30, 0.1)


def why(kind: Kind, sources: str, seconds: float) -> str:
    """Where the daemon's own time goes at the wanted rate."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        with service(profile) as (server, phone, to):
            measure(server, phone, to, kind, sources, kind.wanted, seconds)
            os.kill(server.pid, signal.SIGTERM)
            wait_for("the profile", lambda: profile.exists() and profile.stat().st_size > 0, 15)
            time.sleep(0.5)
        out = io.StringIO()
        pstats.Stats(str(profile), stream=out).strip_dirs().sort_stats("tottime").print_stats(12)
    lines = out.getvalue().partition("ncalls")[2].splitlines()[1:]
    text = "\n".join(f"    {line}" for line in lines if line.strip())
    return f"{kind.name}, {sources}, at {kind.wanted}/s (calls, own s, per call, with callees):\n\n{text}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each step")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds before RSS is read again")
    parser.add_argument("--kind", default="", help="only the kinds with this in their name")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--dry", action="store_true", help="leave docs/benchmarks.md as it is")
    asked = parser.parse_args()
    rows, unreached, others = [], [], []
    began = time.monotonic()
    with service() as (server, phone, to):
        alone = f"The core ran {server.core()}. {phone_alone(server, phone, asked.seconds)}"
        before, disk = server.rss(), server.disk()
        for kind in (kind for kind in KINDS if asked.kind in kind.name):
            for sources in SOURCES:
                steps = highest(server, phone, to, kind, sources, asked.seconds)
                rows.append(row(kind, sources, steps))
                others += [step.others for step in steps]
                if max((x.rate for x in steps if not x.ended), default=0) < kind.wanted:
                    unreached.append((kind, sources))
        peak = server.rss()
        time.sleep(asked.rest)
        after, grown = server.rss(), server.disk() - disk
    profiled = [why(*what, asked.seconds) for what in one_of_each(unreached)]
    text = page(rows, profiled, asked.note, asked.seconds)
    text += (
        f"\n{alone}\nRSS {before:.0f} MB before the first flood, {peak:.0f} after the last, {after:.0f} after "
        f"{asked.rest:.0f} s of rest. Disk: {grown} bytes in all. Beside the daemon, generator, phone and "
        f"whatever else ran took {sum(others) / len(others):.2f} cores. "
        f"The run took {time.monotonic() - began:.0f} s.\n"
    )
    print(text)
    if not asked.dry:
        write(text)


def phone_alone(server: Server, phone: RegisteredPhone, seconds: float) -> str:
    """What the phone costs without a flood: part of every row of the table."""
    phone.live(seconds)
    cpu, disk = sum(server.cpu()), server.disk()
    met = phone.live(seconds)
    return (
        f"The phone alone: CPU {(sum(server.cpu()) - cpu) / seconds:.2f}, {met.share:.1%} answered, "
        f"median {met.median:.1f} ms, {server.disk() - disk} bytes of disk "
        "(until SQLite's journal has its size, then less)."
    )


def one_of_each(unreached: list[tuple[Kind, str]]) -> list[tuple[Kind, str]]:
    """A profile of each kind, from the first sources from which it was not reached."""
    return list({kind.name: (kind, sources) for kind, sources in reversed(unreached)}.values())


def page(rows: list[str], profiled: list[str], note: str, seconds: float) -> str:
    head = (
        f"The highest rate per second, found by doubling in steps of {seconds:g} s, at which the daemon "
        f"takes at most {MOST_CPU} of a core, loses at most {MOST_LOST:.0%} of the datagrams, and a registered "
        f"phone's registrations and calls are answered ({LEAST_ANSWERED:.0%}, median below "
        f"{MOST_MEDIAN_MS:.0f} ms). Disk is what the step of that rate wrote, in bytes. {note}\n\n"
        "| flood | from | per second | CPU | answered | median ms | RSS MB | disk | ended at |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    text = head + "\n".join(rows) + "\n"
    if profiled:
        text += "\nWhere the time goes at wanted rates that were not reached:\n\n"
        text += "\n".join(profiled)
    return text


def write(text: str) -> None:
    """Put the figures into their place on the page, or at its end."""
    old = PAGE.read_text()
    if BEGIN not in old:
        old += f"\n## Under attack\n\n{BEGIN}\n{END}\n"
    head, _, rest = old.partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    sys.exit(main())
