"""Row triggers, versions and the audit of what administrators change."""
