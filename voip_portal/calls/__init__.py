"""Records as nodes wrote them, and calls folded from them."""
