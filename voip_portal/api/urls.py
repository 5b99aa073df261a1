"""Addresses of the API."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from voip_portal.api.views import CallHistoryView, DeviceViewSet, SchemaView

router = SimpleRouter()
router.register("devices", DeviceViewSet, basename="api-device")

urlpatterns = [
    path("v1/", include(router.urls)),
    path("v1/calls/", CallHistoryView.as_view(), name="api-calls"),
    path("v1/schema/", SchemaView.as_view(), name="api-schema"),
]
