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


def check_proxies(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Proxies that are counted and not named: everybody is believed to be one."""
    named = settings.VOIP_PROXY_NETWORKS.replace(",", " ").strip()
    count = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    if not count or named:
        return []
    return [
        Warning(
            f"VOIP_TRUSTED_PROXIES is {count}, but VOIP_PROXY_NETWORKS does not say where they are: "
            "X-Forwarded-For is believed of whoever reaches the web port.",
            hint=(
                "Who gets past the proxy writes any address there, and no rate limit holds. Set "
                "VOIP_PROXY_NETWORKS to the addresses or networks of your proxies, such as 192.0.2.7 "
                "or 172.16.0.0/12, and keep the web port closed to all others."
            ),
            id="portal.W002",
        )
    ]
