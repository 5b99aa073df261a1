"""Template tags of the admin's home page."""
