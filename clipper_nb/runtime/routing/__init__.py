"""Decides which model answers a query."""
