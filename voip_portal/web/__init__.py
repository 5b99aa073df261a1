"""The web server: gunicorn keeps the processes, waitress reads requests whole before a thread takes one.

No Django here: what is served is any WSGI application.
"""
