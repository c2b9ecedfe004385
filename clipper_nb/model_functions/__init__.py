"""Calls functions of Spark and R with inputs: in replicas, and in the notebook, which answers samples as they do."""
