"""The nursery of an embedded cluster: forks replicas that find their libraries imported and their model loaded."""
