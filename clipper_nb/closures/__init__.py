"""What a function needs from the notebook, and how it is taken along."""
