"""The frontends' metrics, and their format for Prometheus."""
