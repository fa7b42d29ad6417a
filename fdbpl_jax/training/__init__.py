"""Training: data sources, the compiled step, the loop, what is saved of it."""
