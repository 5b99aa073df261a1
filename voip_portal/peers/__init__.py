"""Servers of others, and what the SIP server believes and does of them."""
