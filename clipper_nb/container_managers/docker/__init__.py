"""A cluster of Docker containers."""
