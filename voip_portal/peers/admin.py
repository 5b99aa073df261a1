"""Other servers, for operators and administrators."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from voip_portal.accounts.second_look import DeletesAfterLook
from voip_portal.changes.audited import Audited
from voip_portal.changes.base_admin import BaseAdmin
from voip_portal.changes.editing import EditedOnly
from voip_portal.peers.models import Edge, NumberLookup, OpenNetwork, TrustedPeer


@admin.register(TrustedPeer)
class TrustedPeerAdmin(Audited, DeletesAfterLook, EditedOnly, BaseAdmin):
    """Whose word counts for who is calling."""

    list_display = ("domain",)
    search_fields = ("domain",)
    ordering = ("domain",)


@admin.register(Edge)
class EdgeAdmin(Audited, DeletesAfterLook, EditedOnly, BaseAdmin):
    """Domains whose phones come to us and register elsewhere."""

    list_display = ("domain", "registrar")
    search_fields = ("domain",)
    ordering = ("domain",)


@admin.register(OpenNetwork)
class OpenNetworkAdmin(Audited, DeletesAfterLook, EditedOnly, BaseAdmin):
    """Where connections may be opened to."""

    list_display = ("network",)
    search_fields = ("network",)
    ordering = ("network",)


@admin.register(NumberLookup)
class NumberLookupAdmin(Audited, DeletesAfterLook, EditedOnly, BaseAdmin):
    """Below which domain numbers are looked up."""

    list_display = ("suffix",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one row at most."""
        return super().has_add_permission(request) and not NumberLookup.objects.exists()
