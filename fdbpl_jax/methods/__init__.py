"""Methods by their published names: what each is made of, and its settings."""
