"""WSGI entry point."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler

from voip_portal.portal.readable import PortalRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voip_portal.settings")
django.setup(set_prefix=False)


class Application(WSGIHandler):
    """Django's, with requests of ours."""

    request_class = PortalRequest


application = Application()
