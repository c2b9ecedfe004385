"""Prometheus and Grafana for a cluster: their configuration, and what container managers promise of them."""
