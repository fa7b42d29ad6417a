"""The frozen towers of CLIP, in Flax Linen: no other package imports it."""
