"""A SIP stack and the servers built on it (RFC 3261-3265). Knows nothing of Django or the portal.

`docs/architecture.md` lists the layers; a layer imports only those above it in that list.
"""
