"""What bounds a call and the table of calls."""

from __future__ import annotations

from typing import Final

MOST_ANSWERS: Final = 20
"""phones: by which one call may be answered; each makes a dialog, which is kept, probed and hung up."""
MOST_PHONES: Final = 10
"""phones: of which a call's record says why they did not answer; a line has as many devices."""
MAX_REFERRED: Final = 1_000
"""lines: remembered of whom another call is awaited, the last ones."""
REFERRED_S: Final = 60.0
"""How long after a REFER the call that it asks for is taken to come from it."""
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
MAX_SUBSCRIPTIONS: Final = 10_000
"""subscriptions: subscriptions remembered at a time, the oldest go first: some 800 bytes each, 8 MB in all."""
MAX_OF_ONE_SUBSCRIBER: Final = 50
"""subscriptions: of these, those of one line or of one trusted peer, its oldest go first: a phone with two expansion modules
has as many lamps, and nobody pushes out the others' with his own."""
MAX_NOTIFIERS: Final = 20
"""phones: of one forked subscription whose tags are remembered; as many as may answer a call."""
USUAL_SUBSCRIPTION_S: Final = 3_600.0
"""How long one lasts where nobody says: the default of most packages (RFC 3856 §6.4, RFC 4235 §3.4)."""
LONGEST_SUBSCRIPTION_S: Final = 86_400.0
"""A day: one that nobody refreshes for so long is over for us, whatever its notifier has granted."""
LAST_NEWS_S: Final = 32.0
"""64*T1: how long the last NOTIFY of a subscription that is over may take."""
