"""Which model answers a query."""
