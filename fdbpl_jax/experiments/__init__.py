"""Plans of cells (data set × method × seed), run and reported."""
