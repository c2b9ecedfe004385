"""The management frontend: changes the configuration over REST."""
