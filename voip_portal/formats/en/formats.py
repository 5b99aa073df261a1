"""With seconds, and in an order that sorts: calls and changes are looked up by them."""

DATETIME_FORMAT = "Y-m-d H:i:s"
