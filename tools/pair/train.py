"""Train the embedded pair of tiny CLIPs from scratch on the shapes world.

`python -m tools.pair.train --out=DIR` writes DIR/student and DIR/teacher in
Hugging Face layout and prints their zero-shot accuracy; 20 minutes at most on two CPU
cores. Copied to fdbpl_jax/shapes/models, they are the embedded default.
"""

import dataclasses
import sys
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import app, flags, logging
from jaxtyping import Int

from fdbpl_jax import errors
from fdbpl_jax.clip import model, tokenizer
from fdbpl_jax.clip.text import eos_position
from fdbpl_jax.shapes import embedded
from tools.pair import captions, pool, pretrain, vocabulary, zero_shot

_OUT = flags.DEFINE_string("out", None, "folder to write student/ and teacher/ into")
_ONLY = flags.DEFINE_enum("only", "both", ["both", *pretrain.RECIPES], "what to train")
_STEPS = flags.DEFINE_integer("steps", 0, "training steps; 0: as many as are needed")
_PICTURES = flags.DEFINE_integer("pictures", 150, "pictures drawn of each look")
_TOKENIZER = flags.DEFINE_string(
    "tokenizer", "", "folder of a CLIP tokenizer to cut down; empty: the embedded one"
)
_CAPTIONS = 250  # drawn for each look


def tokenize_captions(
    folder: Path, per_look: int, seed: int
) -> tuple[Int[np.ndarray, "V K T"], int]:
    """Captions of each look and of nothing as token ids, and the vocabulary's size."""
    words = tokenizer.load_tokenizer(folder)
    drawn = pool.draw_captions(per_look, seed)
    config = pretrain.make_config(pretrain.RECIPES["student"], len(words)).text
    flat = [caption for fitting in drawn for caption in fitting]
    ids = np.asarray(tokenizer.tokenize(words, flat, config))
    longest = int(eos_position(config, jnp.asarray(ids)).max()) + 1
    return ids[:, :longest].reshape(len(drawn), per_look, longest), len(words)


def train_pair(
    out: Path, source: Path, names: list[str], steps: int, per_look: int
) -> None:
    """Train and save the models called `names` under `out`."""
    merges = vocabulary.read_merges(source)
    pictures = pool.draw_pictures(per_look, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        used = vocabulary.used_merges(merges, captions.words())
        vocabulary.write_tokenizer(Path(folder), used)
        ids, size = tokenize_captions(Path(folder), _CAPTIONS, seed=0)
        for name in names:
            recipe = pretrain.RECIPES[name]
            recipe = dataclasses.replace(recipe, steps=steps or recipe.steps)
            logging.info("training the %s: %s", name, recipe)
            config = pretrain.make_config(recipe, size)
            params = pretrain.pretrain(recipe, config, pictures, ids)
            model.save_clip(
                config,
                params,
                pretrain.SETTINGS,
                Path(folder),
                out / name,
                dtype=np.float16,
            )


def main(_: list[str]) -> None:
    """Train what the flags ask for, then print the zero-shot table."""
    try:
        out = Path(_OUT.value)
        names = list(pretrain.RECIPES) if _ONLY.value == "both" else [_ONLY.value]
        taken = [str(out / name) for name in names if (out / name).exists()]
        if taken:
            raise errors.UserError(f"{taken[0]} exists", "Give another --out.")
        source = Path(_TOKENIZER.value or embedded("teacher"))
        train_pair(out, source, names, _STEPS.value, _PICTURES.value)
        clips = {name: model.load_clip(str(out / name)) for name in names}
        print(zero_shot.table(clips))
    except errors.UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    flags.mark_flag_as_required("out")
    app.run(main)
