"""What the connection does with a cluster."""
