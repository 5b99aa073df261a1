"""Composition: the worker (still without I/O), and around it sockets, spool, journal and timers."""
