"""Experiments: protocols, the cells of a run, and running them."""
