"""The supervisor of an embedded cluster: a separate process that keeps the cluster's processes running.

It works while the notebook's kernel is busy, restarts what crashes, and ends the cluster with its owner.
"""
