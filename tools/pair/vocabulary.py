"""A CLIP byte-pair vocabulary cut down to the words it has to spell.

Every byte stays, so any text can be written; of the merges only those stay that
spelling the given words uses. The words are split exactly as the full one splits them.
"""

import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path

from fdbpl_jax import errors

START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
Merge = tuple[str, str]


def read_merges(directory: Path) -> tuple[Merge, ...]:
    """The merges of a CLIP tokenizer folder, first merged first.

    Raises: `UserError` if the folder holds no readable merges.txt.
    """
    path = directory / "merges.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise errors.UserError(
            f"no merges read from '{path}': {error}",
            "Give the folder of a CLIP tokenizer (vocab.json and merges.txt).",
        ) from error
    pairs = (line.split() for line in lines if not line.startswith("#version"))
    return tuple((pair[0], pair[1]) for pair in pairs if len(pair) == 2)


def used_merges(merges: Iterable[Merge], words: Iterable[str]) -> tuple[Merge, ...]:
    """The merges that spelling `words` uses, in their old order."""
    rank = {merge: i for i, merge in enumerate(merges)}
    used: set[Merge] = set()
    for word in words:
        parts = [*word[:-1], word[-1] + _WORD_END]
        while pairs := [p for p in itertools.pairwise(parts) if p in rank]:
            best = min(pairs, key=rank.__getitem__)
            used.add(best)
            parts = _merge(parts, best)
    return tuple(sorted(used, key=rank.__getitem__))


def _merge(parts: list[str], pair: Merge) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def byte_symbols() -> tuple[str, ...]:
    """CLIP's 256 printable stand-ins for bytes, in its order (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    stand_ins = [chr(byte) for byte in printable]
    return tuple(stand_ins + [chr(256 + i) for i in range(len(rest))])


def vocabulary(merges: Iterable[Merge]) -> dict[str, int]:
    """Token to id, in CLIP's order: bytes, bytes that end a word, merges, specials."""
    symbols = byte_symbols()
    tokens = [*symbols, *(symbol + _WORD_END for symbol in symbols)]
    tokens += ["".join(merge) for merge in merges]
    return {token: i for i, token in enumerate([*tokens, START, END])}


def write_tokenizer(directory: Path, merges: tuple[Merge, ...]) -> None:
    """Write vocab.json, merges.txt and tokenizer_config.json into `directory`."""
    settings = {
        "model_max_length": 77,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "do_lower_case": True,
        "tokenizer_class": "CLIPTokenizer",
    }
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    _write(directory / "vocab.json", json.dumps(vocabulary(merges), ensure_ascii=False))
    _write(directory / "merges.txt", "\n".join(lines) + "\n")
    _write(directory / "tokenizer_config.json", json.dumps(settings, indent=1))


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
