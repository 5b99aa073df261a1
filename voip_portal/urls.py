"""All addresses of the web site."""

from __future__ import annotations

from allauth.account import urls as allauth_urls
from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from voip_portal.accounts.codes import ConfirmEmail, ConfirmReset
from voip_portal.accounts.views import signup
from voip_portal.changes.completion import complete
from voip_portal.portal import ticket, try_call
from voip_portal.portal.views.language import set_language

admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.autocomplete_view = complete  # type: ignore[method-assign]

# A campus address is an identity here: it is verified once and cannot be exchanged for another.
_NOT_OFFERED = {"account_email", "account_set_password"}

handler500 = "voip_portal.portal.views.health.server_error"

urlpatterns = [
    path("accounts/signup/", signup, name="account_signup"),
    path(
        "accounts/confirm-email/",
        ConfirmEmail.as_view(),
        name="account_email_verification_sent",
    ),
    path(
        "accounts/password/reset/confirm/",
        ConfirmReset.as_view(),
        name="account_confirm_password_reset_code",
    ),
    path(
        "accounts/",
        include([p for p in allauth_urls.urlpatterns if p.name not in _NOT_OFFERED]),
    ),
    path("i18n/setlang/", set_language, name="set_language"),
    # allauth's counts wrong tries and tells the owner by mail; Django's own does neither.
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/find/", admin.site.admin_view(ticket.find), name="ticket_find"),
    path("admin/find/<int:pk>/", admin.site.admin_view(ticket.line_page), name="ticket_line"),
    path("admin/try/", admin.site.admin_view(try_call.page), name="try_call"),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("portal/icon.svg"))),
    path("api/", include("voip_portal.api.urls")),
    path("", include("voip_portal.portal.urls")),
]

handler429 = "voip_portal.accounts.waits.too_many"
