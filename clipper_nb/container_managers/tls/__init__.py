"""TLS of a cluster's frontends: their certificates, made here or brought by the user."""
