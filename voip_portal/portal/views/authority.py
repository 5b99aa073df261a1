"""The certificate that phones need to know sipd by, while it has none from a public authority."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from voip_portal.nodes.certificates import own_authority


@require_GET
def authority(request: HttpRequest) -> HttpResponse:
    """For everybody: a phone that is being set up is not logged in."""
    path = own_authority(settings.VOIP_TLS_FOLDER)
    if path is None:
        raise Http404
    return HttpResponse(
        path.read_bytes(),
        content_type="application/x-x509-ca-cert",
        headers={"Content-Disposition": 'attachment; filename="campus-telephone.crt"'},
    )
