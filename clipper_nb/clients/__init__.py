"""Clients with which the notebook calls the frontends."""
