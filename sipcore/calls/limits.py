"""What bounds a call and the table of calls."""

from __future__ import annotations

from typing import Final

MOST_ANSWERS: Final = 20
"""phones: by which one call may be answered; each makes a dialog, which is kept, probed and hung up."""
MAX_PARTY: Final = 256
"""characters: of a party's URI that is remembered of a call that is over."""
REFRESH_GRACE_S: Final = 32.0
"""64*T1: how long the answer to a refresh that was sent in time may take."""
AFTER_S: Final = 180.0
"""How long requests may still come in a call that is over: its other BYE, news of a transfer."""
MAX_OVER: Final = 10_000
"""calls: remembered for that, the last ones."""
MAX_CALL_TOKEN_LENGTH: Final = 900
"""Two flows over IPv6 to ends with the longest of names; a longer call token is not decoded."""
KNOWN_TOKENS: Final = 2_000
"""tokens: in each of two generations, 500 bytes each; those made or opened last need not be
opened again. Of older ones each request pays for the opening."""
MOST_MOVED: Final = 5_000
"""parties: remembered to have moved to another network in a call, the last ones; half a kilobyte each."""
MAX_NAMESAKES: Final = 8
"""calls: of one Call-ID and caller's tag that can be found by them; a call that comes by again, on its
way to another line, is one more. Beyond, somebody repeats a call."""
MAX_PLACES: Final = 50
"""places: contacts and addresses of one call that are told: two for each answer and two more."""
MAX_PARTNERS: Final = 200
"""parties: parties that are told of one line: a switchboard may have 100 calls."""
