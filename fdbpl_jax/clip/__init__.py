"""The frozen towers of CLIP, in Flax Linen: no other package imports it."""

import os

# Only its tokenizer is used: no word on stderr at every start that PyTorch is missing.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
