"""See `voip_portal.formats`."""
