"""What every template may use."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone_name


def site(request: HttpRequest) -> dict[str, Any]:
    """Site-wide facts."""
    return {
        "campus_domains": settings.VOIP_CAMPUS_DOMAINS,
        "languages": settings.LANGUAGES,
        "TIME_ZONE_NAME": get_current_timezone_name(),
    }
