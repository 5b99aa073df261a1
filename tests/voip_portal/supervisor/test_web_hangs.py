"""A web server that does not move at all, under the real supervisor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.campus import Campus, wait_for
from voip_portal.supervisor.child import HUNG_AFTER_S
from voip_portal.supervisor.health import web_answers


def test_a_web_server_that_is_stopped_altogether_is_started_again_by_the_supervisor(
    tmp_path: Path,
) -> None:
    with Campus.new(tmp_path, lines=0) as campus:
        campus.start_all()
        before = campus.children()["web"]
        os.killpg(before, signal.SIGSTOP)
        wait_for(
            "another web server",
            lambda: campus.children().get("web", before) != before,
            HUNG_AFTER_S + 15,
            0.2,
        )
        wait_for("its pages", lambda: "[web] ready again" in campus.log("supervisor"), 20, 0.1)
        assert "[web] hangs" in campus.log("supervisor")
        assert web_answers("127.0.0.1", campus.web_port)()
