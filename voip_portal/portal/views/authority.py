"""The certificate that phones need to know sipd by, while it has none from a public authority."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from voip_portal.nodes.services import authority_certificate


@require_GET
def authority(request: HttpRequest) -> HttpResponse:
    """For everybody: a phone that is being set up is not logged in."""
    certificate = authority_certificate()
    if certificate is None:
        raise Http404
    return HttpResponse(
        certificate,
        content_type="application/x-x509-ca-cert",
        headers={"Content-Disposition": 'attachment; filename="campus-telephone.crt"'},
    )
