"""Counting how often image files are decoded, or read for their hash alone."""

from pathlib import Path

import pytest

from fdbpl_jax.data import images, source_images


def noted_reads(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[str]:
    """A list that gets "decode NAME" and "hash PATH" of files below `root`."""
    notes: list[str] = []
    decode, hashed = images._decode, source_images.content_hash

    def counted_decode(file, stream):
        if root in file.parents:  # not what another test left running
            notes.append(f"decode {file.name}")
        return decode(file, stream)

    def counted_hash(folder, path):
        notes.append(f"hash {path}")
        return hashed(folder, path)

    monkeypatch.setattr(images, "_decode", counted_decode)
    monkeypatch.setattr(source_images, "content_hash", counted_hash)
    return notes
