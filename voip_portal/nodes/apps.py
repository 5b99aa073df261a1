"""Configuration of the nodes app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NodesConfig(AppConfig):
    """See `models`."""

    name = "voip_portal.nodes"
    verbose_name = _("Nodes")
