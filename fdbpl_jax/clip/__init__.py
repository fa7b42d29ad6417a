"""The frozen towers of CLIP, in Flax Linen: no other package imports it."""

import os

# Keep transformers from reporting at every start that PyTorch is missing.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
