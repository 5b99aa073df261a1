"""SIP nodes and the constants of the deployment."""
