"""The API: one's own devices and calls. Another person's do not exist here (404, never 403)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from drf_spectacular.views import SpectacularAPIView
from rest_framework import mixins, status
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from voip_portal.accounts.models import User
from voip_portal.api.serializers import CallPageSerializer, DeviceSerializer, NewDeviceSerializer
from voip_portal.lines import services as lines
from voip_portal.lines.models import MAX_DEVICES, Device, State
from voip_portal.nodes.services import realm
from voip_portal.portal.access import lines_of, main_line
from voip_portal.portal.guard import or_none
from voip_portal.portal.history import history
from voip_portal.portal.limits import may_change_devices
from voip_portal.portal.registrations import registrations
from voip_portal.portal.server import server


def asker(request: Request) -> User:
    """Who asks; permission classes let nobody else come here."""
    return cast(User, request.user)


class DeviceChanges(BaseThrottle):
    """Counted together with those on the pages. A lost phone can be revoked at any time."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        return request.method in (*SAFE_METHODS, "DELETE") or may_change_devices(request)


@extend_schema_view(
    list=extend_schema(summary="My devices"),
    retrieve=extend_schema(summary="One of my devices"),
    partial_update=extend_schema(summary="Rename a device"),
    destroy=extend_schema(summary="Revoke a device; its registration goes within a second"),
)
class DeviceViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet,
):
    """Devices that are not revoked."""

    serializer_class = DeviceSerializer
    queryset = Device.objects.none()
    pagination_class = None
    throttle_classes = [DeviceChanges]
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    def get_queryset(self) -> QuerySet[Device]:
        mine = Device.objects.active().filter(line__owner=asker(self.request))
        return mine.exclude(line__state=State.CLOSING).select_related("line").order_by("pk")

    def get_serializer_context(self) -> dict[str, Any]:
        context: dict[str, Any] = super().get_serializer_context()
        if not getattr(self, "swagger_fake_view", False):
            mine = [line.pk for line in lines_of(asker(self.request))]
            found = or_none(lambda: registrations(mine))
            context["connected"] = None if found is None else {r.device_id for r in found}
            heard: dict[int, datetime] = {}
            for r in found or ():
                heard[r.device_id] = max(r.heard, heard.get(r.device_id, r.heard))
            context["heard"] = heard
        return context

    @extend_schema(
        summary="Add a device",
        description="The secret is in this answer only; it is kept nowhere.",
        responses={201: NewDeviceSerializer},
    )
    def create(self, request: Request) -> Response:
        line = main_line(asker(request))
        if line is None:
            raise ValidationError(_("Choose your user name on the website first."))
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            device, secret = lines.add_device(line, serializer.validated_data["label"], realm())
        except lines.TooManyDevices as error:
            text = _("You have %(n)d devices; revoke one first.") % {"n": MAX_DEVICES}
            raise ValidationError(text) from error
        except lines.LineNotActive as error:
            text = _("Your line is suspended: no device can be added.")
            raise ValidationError(text) from error
        data = dict(self.get_serializer(device).data)
        data |= {"secret": secret, "server": server().address}
        return Response(data, status=status.HTTP_201_CREATED)

    def perform_update(self, serializer: BaseSerializer[Device]) -> None:
        device = cast(Device, serializer.instance)
        lines.rename_device(device, serializer.validated_data.get("label", device.label))

    def perform_destroy(self, instance: Device) -> None:
        lines.revoke_device(instance)


class CallHistoryView(APIView):
    """Calls of one's own lines."""

    @extend_schema(
        summary="My calls, newest first",
        operation_id="calls_list",
        parameters=[OpenApiParameter("after", str, description="`next` of the page before.")],
        responses=CallPageSerializer,
    )
    def get(self, request: Request) -> Response:
        mine = [line.pk for line in lines_of(asker(request))]
        page = history(mine, request.query_params.get("after", ""))
        return Response(CallPageSerializer(page).data)


class SchemaView(SpectacularAPIView):
    """The description of this API."""

    permission_classes = [IsAuthenticated]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        # Django keeps a catalogue for ever of each language that it was asked for once.
        asked = request.query_params.get("lang")
        if asked and asked not in dict(settings.LANGUAGES):
            raise ValidationError({"lang": _("There is no such language here.")})
        described: Response = super().get(request, *args, **kwargs)
        return described
