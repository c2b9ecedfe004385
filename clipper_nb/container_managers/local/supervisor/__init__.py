"""The supervisor of an embedded cluster: a process of its own that keeps the cluster's processes running.

It works while the notebook's kernel is busy, starts again what crashes, and ends the cluster with its owner.
"""
