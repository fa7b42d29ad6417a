"""A look at finished tables: verify, show, measure."""
