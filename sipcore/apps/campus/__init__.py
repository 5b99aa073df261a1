"""The campus service: registrar, proxy and call accounting for the accounts of the directory."""

from sipcore.apps.campus.service import CampusService

__all__ = ["CampusService"]
