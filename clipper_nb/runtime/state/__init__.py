"""Stores the configuration and the frontends' presence; has the query frontend's own copy."""
