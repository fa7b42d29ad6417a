"""Counting how often image files are decoded, or read for their hash alone."""

from pathlib import Path

import pytest

from fdbpl_jax.data import images, source_images


def noted_reads(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[str]:
    """A list that gets "decode NAME" and "hash PATH" of files below `root`."""
    notes: list[str] = []
    decode, hashed = images.decode_image, source_images.content_hash

    def counted_decode(file, *arguments):
        if root in Path(file).parents:  # not what another test left running
            notes.append(f"decode {Path(file).name}")
        return decode(file, *arguments)

    def counted_hash(folder, path):
        notes.append(f"hash {path}")
        return hashed(folder, path)

    monkeypatch.setattr(images, "decode_image", counted_decode)
    monkeypatch.setattr(source_images, "content_hash", counted_hash)
    return notes
