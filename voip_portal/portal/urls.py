"""Addresses of the student's pages."""

from django.urls import path

from voip_portal.portal.views import (
    about,
    authority,
    calls,
    devices,
    health,
    home,
    mails,
    people,
    settings,
    setup,
)

urlpatterns = [
    path("", home.first, name="home"),
    path("help/", about.help_page, name="help"),
    path("privacy/", about.privacy, name="privacy"),
    path("contact/", about.contact_page, name="contact"),
    path("welcome/", setup.welcome, name="welcome"),
    path("number/", home.get_number, name="get_number"),
    path("devices/", devices.devices, name="devices"),
    path("devices/<int:pk>/", setup.device_setup, name="device_setup"),
    path("devices/<int:pk>/secret/", setup.new_secret, name="device_secret"),
    path("devices/<int:pk>/language/", setup.other_language, name="device_language"),
    path("devices/<int:pk>/status/", setup.status, name="device_status"),
    path("devices/<int:pk>/status/page/", setup.status_frame, name="device_status_frame"),
    path("devices/<int:pk>/rename/", devices.rename, name="device_rename"),
    path("devices/<int:pk>/revoke/", devices.revoke, name="device_revoke"),
    path("registered/", devices.registered, name="registered"),
    path("registered/list/", devices.registered_list, name="registered_list"),
    path("calls/", calls.history, name="calls"),
    path("people/", people.find, name="people"),
    path("settings/", settings.edit, name="settings"),
    path("settings/log-out-everywhere/", settings.log_out_everywhere, name="log_out_everywhere"),
    path("settings/data/", settings.download, name="download_data"),
    path("settings/close/", settings.close, name="close_account"),
    path("authority.crt", authority.authority, name="authority"),
    path("mails/", mails.mails, name="mails"),
    path("healthz", health.healthz, name="healthz"),
]
