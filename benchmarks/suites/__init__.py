"""The suites: each has `measure(sizes, log) -> Section`."""
