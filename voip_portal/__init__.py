"""The portal: people, lines, numbers, rules, and what happened. Imports nothing (see bridge)."""
