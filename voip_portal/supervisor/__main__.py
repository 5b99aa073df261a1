"""`make run`: the whole deployment in one terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from voip_portal.supervisor import health, preflight
from voip_portal.supervisor.child import Child, ChildSpec
from voip_portal.supervisor.death import die_with
from voip_portal.supervisor.deployment import (
    LOOPBACK,
    ROOT,
    CannotStart,
    Deployment,
    from_environment,
)
from voip_portal.supervisor.supervisor import Supervisor


def main() -> int:
    """Start everything; 0 after a stop that was asked for, 2 when it cannot start."""
    os.umask(0o077)
    try:
        deployment = from_environment(os.environ)
        preflight.make_var(deployment)
        lock, unclean = preflight.lock(deployment.var)
    except CannotStart as reason:
        return refuse(reason)
    try:
        patience = preflight.ORPHANS_END_WITHIN_S if unclean else 0.0
        preflight.check_ports(deployment, patience=patience)
        prepare(deployment)
        return supervise(deployment)
    except CannotStart as reason:
        return refuse(reason)
    except KeyboardInterrupt:  # before the children were there
        return 128 + signal.SIGINT
    finally:
        preflight.unlock(lock)


def refuse(reason: CannotStart) -> int:
    """Say why not."""
    print(reason, file=sys.stderr)
    return 2


def say(text: str) -> None:
    """One line to the terminal, at once. It may be a file on a full disk: all goes on without it."""
    with suppress(OSError):
        print(text, flush=True)


def prepare(deployment: Deployment) -> None:
    """Migrate, and make what a new database lacks; prints the administrator's password then."""
    say("Preparing the database …")
    parent = os.getpid()
    done = subprocess.run(  # noqa: S603 - the command line is ours
        [sys.executable, str(ROOT / "scripts" / "prepare.py")],
        env=deployment.environment(),
        cwd=ROOT,
        check=False,
        preexec_fn=lambda: die_with(parent),
    )
    if done.returncode:
        raise CannotStart("The database could not be prepared; the reason stands above.")


def supervise(deployment: Deployment) -> int:
    """Run the children until told to stop."""
    env = deployment.environment()
    log_folder = deployment.var / "log"
    children = [Child(spec, log_folder, env, ROOT) for spec in specs(deployment)]
    say(f"Starting {', '.join(child.name for child in children)} …")
    status = Supervisor(children, say=say, on_ready=lambda: announce(deployment)).run()
    say("Stopped." if status == 0 else "Stopped: see above.")
    return status


def specs(deployment: Deployment) -> list[ChildSpec]:
    """The processes of a deployment, each with its own health check."""
    run, python = deployment.var / "run", sys.executable
    manage = (python, str(ROOT / "manage.py"))
    celery = (python, "-m", "celery", "-A", "voip_portal.celery")
    conf = ("-c", "python:voip_portal.supervisor.gunicorn_conf")
    binds = [f"--bind={health.bracketed(h)}:{deployment.web_port}" for h in deployment.web_hosts]
    return [
        ChildSpec(
            "sipd",
            (*manage, "sipd"),
            health.sip_answers(deployment.sip_hosts[0], deployment.sip_port),
        ),
        ChildSpec(
            "web",
            (python, "-m", "gunicorn", "voip_portal.wsgi:application", *conf, *binds),
            health.web_says(run / "web.health", "/healthz"),
            run / "web.health",
            health.web_says(run / "web.health", "/livez"),
        ),
        with_health_file("shipper", (*manage, "shipper"), run),
        # One process, no pool: nothing of it is left when it is killed.
        with_health_file("worker", (*celery, "worker", "-l", "INFO", *WORKER_OPTIONS), run),
        with_health_file("beat", (*celery, "beat", "-l", "INFO", "--pidfile="), run),
    ]


WORKER_OPTIONS = ("-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat")


def with_health_file(name: str, argv: tuple[str, ...], run: Path) -> ChildSpec:
    """A process that writes `<name>.health` itself when it is ready."""
    path = run / f"{name}.health"
    return ChildSpec(name, argv, health.file_appears(path), path)


def announce(deployment: Deployment) -> None:
    """Print where to go."""
    host = health.bracketed(deployment.host)
    tls = f", {deployment.tls_port} (TLS)" if deployment.tls_port > 0 else ""
    say(
        "\nReady.\n"
        f"  Web pages          http://{host}:{deployment.web_port}/\n"
        f"  Administration     http://{host}:{deployment.web_port}/admin/\n"
        f"  Mails it sent      http://{LOOPBACK}:{deployment.web_port}/mails/\n"
        f"  SIP server         {host}:{deployment.sip_port} (UDP and TCP){tls}\n"
        f"  Logs               {deployment.var / 'log'}\n"
        "Stop with Ctrl-C.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
