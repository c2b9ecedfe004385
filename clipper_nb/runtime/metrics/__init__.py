"""What the frontends count, and how it is written for Prometheus."""
