"""Django's system checks of settings that do not go together."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning


def check_https(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Behind https there is a proxy, since gunicorn speaks plain http: it has to be counted."""
    if not settings.VOIP_HTTPS or settings.ALLAUTH_TRUSTED_PROXY_COUNT:
        return []
    return [
        Warning(
            "VOIP_HTTPS is on, but VOIP_TRUSTED_PROXIES is 0: the proxy that speaks https is not believed.",
            hint=(
                "Every form is refused (its origin seems to be another site), and all visitors share the "
                "rate limits of the proxy's address. Set VOIP_TRUSTED_PROXIES to the number of your own "
                "proxies in front, usually 1; they must set X-Forwarded-For and X-Forwarded-Proto."
            ),
            id="portal.W001",
        )
    ]
