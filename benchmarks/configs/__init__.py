"""Sizes of the suites: one file a preset, with `get_config()`."""
