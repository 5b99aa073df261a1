"""The HTTP API; its description is docs/openapi.yaml."""
