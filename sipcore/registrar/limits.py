"""What bounds a REGISTER; what a deployment decides is in `policy.py`."""

from __future__ import annotations

from typing import Final

MOST_CONTACTS: Final = 50
"""values: of Contact in one REGISTER, removals among them; each is compared with each."""
MAX_PATH_VALUES: Final = 10
"""values: of Path in one REGISTER; each is kept, and put before every request to the phone."""
MAX_CONTACT_LENGTH: Final = 2000
"""A longer Contact URI is not stored: 400."""
RESTARTED_S: Final = 1.0
"""seconds: by which a challenge must be younger than a binding, for its answer to have a lower CSeq."""
MAX_CALL_ID_LENGTH: Final = 255
"""A REGISTER with a longer Call-ID, which is stored with its bindings, is answered 400."""
MAX_USER_AGENT_LENGTH: Final = 120
"""What is stored of a User-Agent, for people to read."""
MAX_INSTANCE_LENGTH: Final = 200
"""A longer +sip.instance is as none."""
