"""Health check of the SIP daemon: exits 0 when it answers OPTIONS. `options.py HOST[,HOST] PORT`."""

import sys

from voip_portal.supervisor.health import sip_answers

sys.exit(0 if sip_answers(sys.argv[1].split(",")[0], int(sys.argv[2]))() else 1)
