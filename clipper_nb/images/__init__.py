"""Images: what a model version's replicas are made from."""
