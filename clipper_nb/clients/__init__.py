"""What the notebook asks the frontends with."""
