"""Sizes of the suites: one file per preset, with `get_config()`."""
