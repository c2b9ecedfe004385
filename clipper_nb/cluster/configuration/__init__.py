"""A cluster's configuration as one file: written from one cluster, read into another."""
