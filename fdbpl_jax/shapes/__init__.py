"""The embedded default: a rendered world and a tiny CLIP pair trained on it."""
