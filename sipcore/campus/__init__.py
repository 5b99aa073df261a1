"""The campus service: registrar, proxy and call accounting for the accounts of the directory."""

from sipcore.campus.service import CampusService

__all__ = ["CampusService"]
