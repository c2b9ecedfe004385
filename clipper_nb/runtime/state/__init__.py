"""The configuration and the frontends' presence: where they are kept, and the query frontend's own copy."""
