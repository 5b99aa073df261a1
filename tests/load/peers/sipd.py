"""Our daemon: SQLite, records and durable bindings on, one worker; the realm is the bench's domain.

Shipper, Celery worker and beat, and the web server run beside it as `make run` starts them.
"""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys

from .base import Peer

ROOT = pathlib.Path(__file__).resolve().parents[3]


class SipdPeer(Peer):
    name = "sipd"
    settle_seconds = 2

    def start(self):
        c = self.ctx
        self.var = pathlib.Path(c.rundir) / "var"
        self.env = {**os.environ, "VOIP_VAR": str(self.var), "VOIP_SIP_PORT": str(c.port)}
        self.env["VOIP_TLS_PORT"] = "-1"
        self.env.pop("DATABASE_URL", None)
        manage = [sys.executable, str(ROOT / "manage.py")]
        for args in (["migrate"], ["migrate", "--database", "bindings"]):
            subprocess.run(manage + args, check=True, env=self.env, stdout=subprocess.DEVNULL)
        subprocess.run(
            [sys.executable, str(ROOT / "tests/load/load_users.py"), str(c.users_dir), c.domain],
            check=True, env=self.env, cwd=ROOT,
        )
        self.spawn(manage + ["sipd", "--node", "bench", "--host", c.host], env=self.env, cwd=ROOT)
        subprocess.run(manage + ["collectstatic", "--noinput"], check=True, env=self.env, stdout=subprocess.DEVNULL)
        for command in beside_commands(self.var):
            self.spawn(command, beside=True, env=self.env, cwd=ROOT)

    def bindings(self):
        return self.durable()

    def durable(self):
        db = sqlite3.connect(f"file:{self.var / 'bindings.sqlite3'}?mode=ro", uri=True, timeout=5)
        try:
            return db.execute("select count(*) from location_binding").fetchone()[0]
        finally:
            db.close()

    def counters(self):
        records = 0
        for path in (self.var / "spool").glob("*/*.jsonl"):
            with path.open("rb") as f:
                records += sum(1 for _ in f)
        return {"records": records}

    def describe(self):
        config = json.loads((self.var / "run" / "sipd-bench.json").read_text())
        return {"listen": config["listen"], "database": "sqlite", "workers": 1}


def beside_commands(var):
    """What `make run` starts besides sipd, on ports that the bench has for itself."""
    sys.path.insert(0, str(ROOT))
    from voip_portal.supervisor.__main__ import WORKER_OPTIONS

    celery = [sys.executable, "-m", "celery", "-A", "voip_portal.celery"]
    web = ["-m", "gunicorn", "voip_portal.wsgi:application", "-c", "python:voip_portal.supervisor.gunicorn_conf"]
    return [
        [sys.executable, *web, f"--bind=unix:{var}/run/web.sock"],
        [sys.executable, str(ROOT / "manage.py"), "shipper"],
        [*celery, "worker", "-l", "INFO", *WORKER_OPTIONS],
        [*celery, "beat", "-l", "INFO", "--pidfile="],
    ]


PEER = SipdPeer
