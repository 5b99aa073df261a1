"""The language buttons at the foot of every page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from voip_portal.portal import language


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Keep the choice, and show the page again where it was made."""
    where = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(where, {request.get_host()}, request.is_secure()):
        where = "/"
    response = HttpResponseRedirect(where)
    code = request.POST.get("language", "")
    if language.choose(request, code):
        language.remember(response, code)
    return response
