"""What the deployers of frameworks share: each saves a model in the format of its framework, with a function."""
