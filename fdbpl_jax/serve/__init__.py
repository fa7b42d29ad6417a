"""A classifier as a web service, with a page: `fdbpl serve`."""
