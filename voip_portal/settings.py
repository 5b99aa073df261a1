"""Django settings, all from the environment; `docs/configuration.md` lists the variables.

Without any variable this is the embedded default: SQLite, files, no server besides our own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from voip_portal import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
VOIP_VAR = env.private_folder(Path(os.environ.get("VOIP_VAR") or BASE_DIR / "var").resolve())
"""All state that is not in a database server."""

VOIP_SIP_PORT = int(os.environ.get("VOIP_SIP_PORT") or 5060)
VOIP_TLS_PORT = int(os.environ.get("VOIP_TLS_PORT") or VOIP_SIP_PORT + 1)
"""Port of SIP over TLS; -1: none."""
VOIP_TLS_NAME = os.environ.get("VOIP_TLS_NAME", "")
"""The name of the TLS port in Via and Record-Route, which the certificate must say."""
VOIP_TLS_FOLDER = Path(os.environ.get("VOIP_TLS_FOLDER") or VOIP_VAR / "tls")
"""Where sipd's certificates lie (`sipcore.node.tls`)."""
VOIP_WEB_PORT = int(os.environ.get("VOIP_WEB_PORT") or 8000)
VOIP_APPLICATIONS = env.words("VOIP_APPLICATIONS", "sipcore.apps.echo:Echo")
"""Services that sipd runs, as `module:Class`."""
VOIP_PROBE_S = float(os.environ.get("VOIP_PROBE_S") or 300)
"""How often both ends of a call are asked whether they are still there, in seconds."""
VOIP_SPOOL_MB = int(os.environ.get("VOIP_SPOOL_MB") or 1024)
"""Size of the records that wait for the database from which only those of calls are written."""
VOIP_MAX_CALL_S = float(os.environ.get("VOIP_MAX_CALL_S") or 86_400)
"""The longest time of a call, in seconds."""
VOIP_STOP_WAIT_S = float(os.environ.get("VOIP_STOP_WAIT_S") or 0)
"""How long a node that is stopped lets phones go on ringing before it ends these calls, in seconds."""
VOIP_EDGE_FOR = env.words("VOIP_EDGE_FOR")
"""A start value: domains of other registrars that the SIP server is the edge proxy of, `domain=URI`."""
VOIP_SERVICE_ROUTE = env.words("VOIP_SERVICE_ROUTE")
"""URIs that phones are told to send their requests by (RFC 3608)."""
VOIP_OPEN_NETWORKS = env.words("VOIP_OPEN_NETWORKS")
"""A start value: private networks into which the SIP server may open connections."""
VOIP_ENUM = os.environ.get("VOIP_ENUM") or ""
"""A start value: below which domain numbers that nobody here has are looked up (RFC 6116)."""
VOIP_TRUSTED_PEERS = env.words("VOIP_TRUSTED_PEERS")
"""A start value (`peers.variables`): domains whose servers, by their certificate, are believed who
calls and are relayed for."""
VOIP_DNS = env.words("VOIP_DNS")
"""DNS servers the SIP server asks, `address` or `address:port`; none: those of the system."""
VOIP_COMPILED = env.flag("VOIP_COMPILED", default=True)
VOIP_ADVERTISE = os.environ.get("VOIP_ADVERTISE") or "127.0.0.1"
"""The host name or address that phones and browsers are told to use."""
VOIP_LISTEN = env.words("VOIP_LISTEN")
"""The addresses of this machine that sipd listens on; none: the advertised one, or loopback."""
VOIP_CAMPUS_DOMAINS = [d.lower() for d in env.words("VOIP_CAMPUS_DOMAINS", "campus.example")]
"""E-mail domains whose holders may sign up."""
VOIP_CONTACT = os.environ.get("VOIP_CONTACT", "").strip()
"""E-mail address of the administrators, for pages that tell people to ask them; empty: they do not."""
VOIP_HTTPS = env.flag("VOIP_HTTPS")
"""Whether browsers reach us by https (through a proxy): cookies become secure, HSTS is sent."""
VOIP_KEEP_DAYS = int(os.environ.get("VOIP_KEEP_DAYS") or 365)
"""How long calls, their records and the history of changes are kept."""
VOIP_REDIS_URL = os.environ.get("REDIS_URL", "")

SECRET_KEY = env.secret("SECRET_KEY", VOIP_VAR / "secret_key")
DEBUG = env.flag("VOIP_DEBUG")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", VOIP_ADVERTISE, *env.words("VOIP_HOSTS")]
INTERNAL_IPS: list[str] = []

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "voip_portal.changes",
    "voip_portal.accounts",
    "voip_portal.lines",
    "voip_portal.numbers",
    "voip_portal.location",
    "voip_portal.calls",
    "voip_portal.nodes",
    "voip_portal.peers",
    "voip_portal.hours",
    "voip_portal.api",
    "voip_portal.portal",
    "voip_portal.bridge",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "voip_portal.portal.middleware.ContentSecurityPolicy",
    "voip_portal.api.middleware.NoStore",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "voip_portal.portal.readable.Readable",
    "voip_portal.portal.ended.EndedSession",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "voip_portal.changes.actor.ActorMiddleware",
    "voip_portal.portal.middleware.Preferences",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "voip_portal.accounts.known_browser.KnownBrowser",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "voip_portal.urls"
WSGI_APPLICATION = "voip_portal.wsgi.application"
ASGI_APPLICATION = "voip_portal.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "voip_portal.portal.context.site",
            ],
        },
    },
]

# -- Stores ------------------------------------------------------------------------------------

DATABASES = env.databases(
    os.environ.get("DATABASE_URL", ""), VOIP_VAR, env.password("DATABASE_PASSWORD")
)
DATABASE_ROUTERS = ["voip_portal.location.router.BindingsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {
    "default": (
        {
            "BACKEND": "voip_portal.accounts.steadycache.SteadyCache",
            "LOCATION": VOIP_REDIS_URL,
            "OPTIONS": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "socket_connect_timeout": 0.5,
                "socket_timeout": 0.5,
            },
        }
        if VOIP_REDIS_URL
        else {
            "BACKEND": "voip_portal.accounts.steadycache.SteadyCache",
            "LOCATION": str(VOIP_VAR / "cache"),
            "OPTIONS": {"BACKEND": "voip_portal.accounts.filecache.SharedFileCache"},
        }
    )
}
"""Shared by all web processes: rate limits count in it, and in each process while it is away."""

CELERY_BROKER_URL = VOIP_REDIS_URL or "files://"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    # A task whose worker was killed comes again after seconds, not after the default hour.
    {"visibility_timeout": 60, "unacked_restore_interval": 2, "unacked_restore_throttle": 1}
    if VOIP_REDIS_URL
    else {
        "data_folder_in": str(env.private_folder(VOIP_VAR / "broker" / "queue")),
        "data_folder_out": str(VOIP_VAR / "broker" / "queue"),
        "control_folder": str(env.private_folder(VOIP_VAR / "broker" / "control")),
        "polling_interval": 0.05,
    }
)
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

# -- People ------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTH_PASSWORD_VALIDATORS[1]["OPTIONS"] = {"min_length": 10}  # type: ignore[assignment]

LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

ACCOUNT_ADAPTER = "voip_portal.accounts.adapter.CampusAdapter"
ACCOUNT_FORMS = {
    "signup": "voip_portal.accounts.forms.SignupForm",
    "login": "voip_portal.accounts.forms.LoginForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
# A typed code, not a link: it works when the mail is read on another device, mail scanners cannot
# use it up, and no address in a mail depends on the Host header of a request.
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
# How long the page asks for a code; the code itself is good for less (`accounts.codes`).
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_TIMEOUT = 60 * 60
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = 3
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 30 * 60
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_RATE_LIMITS = {
    "signup_subnet": "120/m/key",
    "signup": "20/m/ip",
    # allauth's own count of log-ins, by address, holds up known browsers as well: not used. In its
    # place, of log-ins right or wrong from browsers that are not known:
    "login": None,
    "login_unknown": "30/m/ip",
    # Of wrong passwords: by address; by (account, /24 or /64); by account, from everywhere together;
    # by (account, browser that is known for it), which is counted by none of the others.
    "login_failed": "10/m/ip",
    "login_failed_network": "5/300s/key",
    "login_failed_account": "50/900s/key",
    "login_failed_browser": "5/300s/key",
    # Of mails to an address that somebody typed (sign-up, forgotten password), in the same way.
    "reset_password": "20/m/ip",
    "confirm_email": None,
    "code_network": "6/600s/key",
    "code_address": "30/3600s/key",
    "code_browser": "6/600s/key",
    "find_person": "60/m/user",
    "choose_name": "20/m/user",
    "change_devices": "60/10m/user,300/d/user",
    "close_account": "5/300s/user",
}
ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("VOIP_TRUSTED_PROXIES") or 0)
"""How many proxies of ours a request passes; with 0 no X-Forwarded-For is believed."""
VOIP_PROXY_NETWORKS = os.environ.get("VOIP_PROXY_NETWORKS", "")
"""Where they are: read by `web.sources`, and by a system check."""

EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = str(VOIP_VAR / "mail")
if os.environ.get("EMAIL_HOST"):
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST = os.environ["EMAIL_HOST"]
    EMAIL_PORT = int(os.environ.get("EMAIL_PORT") or 25)
    EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
    if EMAIL_HOST_USER:
        EMAIL_HOST_PASSWORD = env.password("EMAIL_HOST_PASSWORD")
    EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 5
"""Seconds. A page waits for the mail server; one that says nothing must not take all the threads."""
DEFAULT_FROM_EMAIL = os.environ.get("VOIP_FROM_EMAIL") or f"telephone@{VOIP_CAMPUS_DOMAINS[0]}"

# -- Language and time -------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("sv", _("Swedish"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["voip_portal.formats"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
VOIP_TIME_ZONE = os.environ.get("VOIP_TIME_ZONE") or "Europe/Stockholm"
"""The zone of people who did not choose one."""

# -- The web -----------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = env.private_folder(VOIP_VAR / "static")
STATICFILES_DIRS = [BASE_DIR / "voip_portal" / "static_first"]
"""In the place of files of the admin's theme that are large and of no use here."""
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "voip_portal.web.static_files.StaticFiles"},
}
# What was not collected (`manage.py collect`) is served from where it lies.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 300

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = VOIP_HTTPS
SESSION_COOKIE_AGE = 30 * 24 * 3600
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if VOIP_HTTPS:
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    if ALLAUTH_TRUSTED_PROXY_COUNT:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if VOIP_HTTPS else "http"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["voip_portal.api.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "voip_portal.api.description.Description",
    "DEFAULT_VERSIONING_CLASS": None,
    # The description says in a header which version was asked for: none but this is copied there.
    "ALLOWED_VERSIONS": ["1"],
    "EXCEPTION_HANDLER": "rest_framework.views.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Campus telephone API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "DISABLE_ERRORS_AND_WARNINGS": False,
}
UNFOLD = {
    "SITE_TITLE": _("Campus telephone"),
    "SITE_HEADER": _("Campus telephone"),
    "SITE_SUBHEADER": "voip_portal.portal.context.times",
    "SITE_URL": "/",
    "STYLES": [lambda request: static("portal/admin.css")],
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("portal/icon.svg")}
    ],
    # The portal's petrol; 600 carries white text.
    "COLORS": {
        "primary": {
            "50": "oklch(97% 0.015 205)",
            "100": "oklch(94% 0.03 205)",
            "200": "oklch(88% 0.05 205)",
            "300": "oklch(80% 0.07 205)",
            "400": "oklch(70% 0.085 205)",
            "500": "oklch(60% 0.085 205)",
            "600": "oklch(45% 0.075 205)",
            "700": "oklch(40% 0.065 205)",
            "800": "oklch(34% 0.055 205)",
            "900": "oklch(28% 0.045 205)",
            "950": "oklch(21% 0.035 205)",
        }
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"plainly": {"()": "voip_portal.faults.Plainly"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["plainly"]}
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django.server": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}
