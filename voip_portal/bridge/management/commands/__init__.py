"""The node and its shipper."""
