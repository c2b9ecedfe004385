"""Who may reach what of a running cluster: each listener is asked by each kind of caller, for ``docs/security.md``."""
