"""Loads models that a framework has saved, and answers inputs with them: the same in the notebook and in replicas.

A framework is imported when one of its models is loaded.
"""
