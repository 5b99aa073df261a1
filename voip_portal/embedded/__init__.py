"""Django's SQLite, for a file that is the only copy of everything."""
