"""Starts and stops the containers of a cluster, as local processes or on Docker."""
