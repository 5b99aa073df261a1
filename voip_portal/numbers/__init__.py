"""Names and numbers: domains, ranges, pools, and who holds which address."""
