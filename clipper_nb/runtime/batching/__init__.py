"""Queues, batch sizes and the dispatching of batches to replicas."""
