"""The panels, apart from the page."""
