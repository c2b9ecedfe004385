"""One process that imports what both frontends need, and becomes both."""
