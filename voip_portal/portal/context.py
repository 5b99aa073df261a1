"""What every template may use."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext as _

from voip_portal.portal.server import server


def site(request: HttpRequest) -> dict[str, Any]:
    """Site-wide facts."""
    return {
        "languages": settings.LANGUAGES,
        "contact": settings.VOIP_CONTACT,
        "sip_server": SimpleLazyObject(lambda: server().address),  # only some pages ask
        "TIME_ZONE_NAME": get_current_timezone_name(),
    }


def times(request: HttpRequest) -> str:
    """The zone of all times on a page of the admin, beside the site's name."""
    return _("Times: %(zone)s") % {"zone": get_current_timezone_name()}
