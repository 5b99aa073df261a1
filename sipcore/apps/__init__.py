"""Applications on the stack: the campus service and the services that ship with it."""
