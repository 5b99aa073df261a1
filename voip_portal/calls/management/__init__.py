"""Commands of the calls app."""
