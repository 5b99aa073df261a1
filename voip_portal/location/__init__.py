"""Where lines are registered now."""
