"""Texts to token ids, with the tokenizer of `transformers` and local files only."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from fdbpl_jax.clip.config import TextConfig
from fdbpl_jax.data.class_names import as_read, refuse_same
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.errors import UserError

TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_WORD_END = "</w>"  # of the last piece of a word
_MEND = "Get the model's tokenizer files again."


@runtime_checkable
class Tokenizer(Protocol):
    """The part of `transformers.CLIPTokenizer` that is used."""

    bos_token_id: int  # SOS
    eos_token_id: int
    pad_token_id: int

    def __call__(
        self, text: str, *, add_special_tokens: bool = True
    ) -> Mapping[str, list[int]]:
        """Encode a text; its ids are the entry "input_ids"."""

    def get_vocab(self) -> dict[str, int]:
        """List all tokens with their ids."""


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read the tokenizer in a model's directory; UserError if missing or broken."""
    import transformers  # here: half a second that commands without a model save

    path = Path(path)
    pair = (path / "vocab.json").is_file() and (path / "merges.txt").is_file()
    if not pair and not (path / "tokenizer.json").is_file():
        raise UserError(
            f"no tokenizer in '{path}'",
            "Put the model's tokenizer.json, or vocab.json and merges.txt, there.",
        )
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(
            path, local_files_only=True
        )
        bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    except Exception as error:  # the tokenizers library raises bare Exception
        what = f"the tokenizer in '{path}' cannot be read: {error}"
        raise UserError(what, _MEND) from error
    if unmade := _unmade(bpe["vocab"], bpe["merges"], tokenizer.get_added_vocab()):
        raise UserError(
            f"the vocabulary and the merges in '{path}' do not belong together: no "
            f"merge makes {len(unmade)} of {len(bpe['vocab'])} tokens, such as "
            f"{unmade[0]!r}",
            _MEND,
        )
    return tokenizer


def _unmade(
    vocab: Collection[str], merges: Collection[Sequence[str]], added: Collection[str]
) -> list[str]:
    """Tokens that neither are one symbol nor the result of a merge nor added."""
    made = {"".join(pair) for pair in merges}.union(added)
    rest = [token for token in vocab if token not in made]
    return [token for token in rest if len(token.removesuffix(_WORD_END)) > 1]


def check_tokenizer(tokenizer: Tokenizer, config: TextConfig) -> None:
    """Refuse ids beyond the tower's vocabulary, or another EOS than it reads at."""
    largest = max(tokenizer.get_vocab().values())
    mend = "Put the tokenizer files that belong to this model beside its weights."
    if largest >= config.vocab_size:
        raise UserError(
            f"the tokenizer has ids up to {largest}, and the text tower's vocab_size "
            f"is {config.vocab_size}",
            mend,
        )
    eos = largest if config.eos_token_id == 2 else config.eos_token_id
    if tokenizer.eos_token_id != eos:
        raise UserError(
            f"the tokenizer ends a text with id {tokenizer.eos_token_id}, and the text "
            f"tower reads it at id {eos} (eos_token_id {config.eos_token_id} in "
            "config.json)",
            mend,
        )


def word_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode the words of a text as CLIP's authors do, without SOS and EOS.

    Raises:
      UserError: the text holds a special token, or a character that the vocabulary can
        only express as one: it would be read at the wrong place.
    """
    ids = tokenizer(as_read(text), add_special_tokens=False)["input_ids"]
    if {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(ids):
        raise UserError(
            f"'{text}' holds a special token, or a character that this tokenizer does "
            "not know",
            "Write it in other words.",
        )
    return ids


def refuse_same_tokens(
    tokenizer: Tokenizer, class_names: Sequence[str], where: object
) -> None:
    """Refuse two class names that are the same tokens, such as "T-shirt", "T - shirt".

    `where` they are from, for the message.

    Raises:
      UserError: there are two; or as `word_ids`.
    """
    refuse_same(
        where,
        class_names,
        lambda name: tuple(word_ids(tokenizer, f"{prompt_name(name)}.")),
    )


def tokenize(
    tokenizer: Tokenizer, texts: Sequence[str], config: TextConfig
) -> Int[np.ndarray, "C T"]:
    """Encode each text as SOS, words, EOS, padded to the tower's `context_length`.

    Raises:
      UserError: a text is too long, or holds a special token.
    """
    length = config.context_length
    ids = np.full((len(texts), length), tokenizer.pad_token_id, np.int32)
    for row, text in zip(ids, texts, strict=True):
        words = word_ids(tokenizer, text)
        if len(words) + 2 > length:
            raise UserError(
                f"'{text}' is {len(words) + 2} tokens long with SOS and EOS, and the "
                f"text tower takes {length}",
                "Shorten it.",
            )
        row[0] = tokenizer.bos_token_id
        row[1 : len(words) + 2] = [*words, tokenizer.eos_token_id]
    return ids
