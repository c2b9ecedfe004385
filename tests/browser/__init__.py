"""The panels in a browser."""
