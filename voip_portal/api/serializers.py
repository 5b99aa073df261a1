"""What the API says and takes. A secret is in one answer only: that to its making."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from voip_portal.lines.models import Device


class DeviceSerializer(serializers.ModelSerializer):
    """A device."""

    line = serializers.SlugRelatedField(slug_field="username", read_only=True)
    connected = serializers.SerializerMethodField(
        help_text="Whether it is registered now; null while that cannot be read."
    )
    last_heard = serializers.SerializerMethodField(
        help_text="When it last registered, placed or took a call; null while it is not connected."
    )

    class Meta:
        model = Device
        fields = ["id", "label", "line", "created_at", "connected", "last_heard"]
        read_only_fields = ["id", "line", "created_at", "connected", "last_heard"]

    @extend_schema_field(serializers.BooleanField(allow_null=True))
    def get_connected(self, device: Device) -> bool | None:
        connected = self.context["connected"]
        return None if connected is None else device.pk in connected

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_last_heard(self, device: Device) -> datetime | None:
        heard: datetime | None = self.context["heard"].get(device.pk)
        return heard


class NewDeviceSerializer(DeviceSerializer):
    """A device just made, with its secret."""

    secret = serializers.CharField(read_only=True, help_text="Shown only in this answer.")
    server = serializers.CharField(read_only=True, help_text="Where the phone registers.")

    class Meta(DeviceSerializer.Meta):
        fields = [*DeviceSerializer.Meta.fields, "secret", "server"]
        read_only_fields = fields


class CallSerializer(serializers.Serializer):
    """A call as one's own side saw it."""

    context = serializers.CharField(help_text="The call's id everywhere in this service.")
    direction = serializers.SerializerMethodField()
    party = serializers.CharField(help_text="User name or address of the other side.")
    party_number = serializers.CharField()
    at = serializers.DateTimeField(help_text="When the call began.")
    duration_s = serializers.FloatField(allow_null=True, help_text="Talking time in seconds.")
    outcome = serializers.CharField(help_text="How it ended, in the asker's language.")
    device = serializers.CharField(
        help_text="The asker's own device that placed or took it; empty where that is not known."
    )
    joined = serializers.CharField(
        help_text="Which call it came from, or where it went on, in the asker's language; or empty."
    )
    tone = serializers.ChoiceField(choices=["talked", "quiet", "missed", "failed", "going-on"])

    @extend_schema_field(serializers.ChoiceField(choices=["outgoing", "incoming"]))
    def get_direction(self, entry: Any) -> str:
        return "outgoing" if entry.outgoing else "incoming"


class CallPageSerializer(serializers.Serializer):
    """A page of calls, newest first."""

    results = CallSerializer(many=True, source="entries")
    next = serializers.CharField(help_text="The `after` of the next page; empty at the end.")
