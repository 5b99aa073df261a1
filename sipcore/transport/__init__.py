"""Flows, stream framing rules, the way back of responses; and the socket files."""
