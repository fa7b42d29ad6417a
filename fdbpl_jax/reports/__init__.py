"""Reports: from results of cells to text, CSV, HTML and plots."""
