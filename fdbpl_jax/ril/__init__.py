"""The Region Information Lookup table; the only importer of TensorStore."""
