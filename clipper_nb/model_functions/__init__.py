"""Calls Spark and R functions with inputs: in replicas, and in the notebook, to answer samples as the replicas do."""
