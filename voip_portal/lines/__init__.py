"""Lines (SIP accounts) and the devices that may use them."""
