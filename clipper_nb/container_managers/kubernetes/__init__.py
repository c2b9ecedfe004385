"""A cluster of pods on Kubernetes."""
