"""Contexts that CoOp or KDPL trained, as our exports.

  python -m fdbpl_jax.interop.import_torch \
      --checkpoint=prompt_learner/model.pth.tar-50 \
      --student=openai/clip-vit-base-patch32 --class_names=classes.txt --export=export

Needs PyTorch (`pip install "fdbpl-jax[reference]"`), which reads tensors alone: a
checkpoint that holds anything else is refused and nothing in it is run.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import flags
from jaxtyping import Float, Float32

from fdbpl_jax.cli import path_flag, run_app
from fdbpl_jax.clip.model import Clip, load_clip
from fdbpl_jax.clip.text import embed_tokens
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.learners.coop import class_row
from fdbpl_jax.training.checkpoint import export_prompts

_CHECKPOINT = path_flag("checkpoint", None, "Of a prompt learner.")
_STUDENT = path_flag("student", None, "The CLIP it was trained on.")
_NAMES = path_flag("class_names", None, "Text file, one a line, in order.")
_POSITION = flags.DEFINE_enum(
    "position", "end", ["end", "middle", "front"], "Of the class name."
)
_EXPORT = path_flag("export", None, "Folder of the export, made new.")

_GIVE = "Give the model.pth.tar-N of a prompt_learner folder."
_CLASSES = "Give the classes that it was trained on, in that order."
_HALF = 2e-3  # what half precision may make of an embedding, whose values are below 1


def read_context(file: Path) -> dict[str, Float32[np.ndarray, "..."]]:
    """Read the tensors of a prompt learner's checkpoint, by name: "ctx" and others.

    Raises:
      UserError: PyTorch is not installed, the file is none of CoOp's, or it holds
        something else than tensors and plain values.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(
            "PyTorch is not installed", 'Run `pip install "fdbpl-jax[reference]"`.'
        ) from error
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        state = checkpoint["state_dict"]
        return {name: tensor.float().numpy() for name, tensor in state.items()}
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"no tensors read from '{file}': {reason}", _GIVE) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"'{file}' has no state_dict of tensors", _GIVE) from error


def check_context(
    tensors: dict[str, Float32[np.ndarray, "..."]],
    clip: Clip,
    class_names: Sequence[str],
) -> Float[np.ndarray, "*C L W"]:
    """The context, if it was trained on this model and, as far as is kept, these names.

    Names are in the order of training; [L W], or [C L W] of class-specific contexts.

    Raises:
      UserError: what does not fit.
    """
    if "ctx" not in tensors:
        raise UserError(
            f"the checkpoint has no 'ctx' but {', '.join(sorted(tensors)) or 'none'}",
            "Give a checkpoint of CoOp or of KDPL on it.",
        )
    context, width = tensors["ctx"], clip.config.text.tower.width
    if context.ndim not in (2, 3) or context.shape[-1] != width:
        raise UserError(
            f"'ctx' is {list(context.shape)}; the text tower of '{clip.name}' is "
            f"{width} wide",
            "Give the student that it was trained on.",
        )
    if not np.isfinite(context).all():
        raise UserError("'ctx' holds NaN or infinity", "Its training diverged.")
    if context.ndim == 3 and len(context) != len(class_names):
        raise UserError(
            f"'ctx' is of {len(context)} classes; {len(class_names)} names are given",
            _CLASSES,
        )
    _check_words(tensors, clip, class_names, context.shape[-2])
    return context


def _check_words(
    tensors: dict[str, Any], clip: Clip, class_names: Sequence[str], length: int
) -> None:
    """CoOp keeps the embeddings of SOS and of name, "." and EOS, wherever they go."""
    prompt = PromptConfig(context_length=length, init="")
    words = [prompt_name(name) for name in class_names]
    rows = [
        class_row(clip.tokenizer, clip.config.text, word, prompt)[0] for word in words
    ]
    for name, first in (("token_prefix", 0), ("token_suffix", 1 + length)):
        if name not in tensors:
            continue
        stored = tensors[name]
        if len(stored) != len(rows):
            raise UserError(
                f"'{name}' is of {len(stored)} classes; {len(rows)} names are given",
                _CLASSES,
            )
        for word, ids, embeddings in zip(words, rows, stored, strict=True):
            end = 1 if name == "token_prefix" else len(ids)
            expected = embed_tokens(clip.params["text"], jnp.asarray(ids[first:end]))
            if not _alike(embeddings[: end - first], np.asarray(expected, np.float32)):
                raise UserError(
                    f"'{name}' does not hold '{word}' as '{clip.name}' embeds it",
                    "Give the student and the classes, in order, it was trained on.",
                )


def _alike(actual: np.ndarray, expected: np.ndarray) -> bool:
    fits = actual.shape == expected.shape
    return fits and bool((np.abs(actual - expected) < _HALF).all())


def _command() -> None:
    clip = load_clip(_STUDENT.value)
    names = read_names(Path(_NAMES.value))
    tensors = read_context(Path(_CHECKPOINT.value))
    context = check_context(tensors, clip, names)
    facts = {
        "class_names": list(names),
        "student": {"name": clip.name, "sha256": clip.fingerprint},
        "config": {
            "method": "coop",
            "imported": Path(_CHECKPOINT.value).name,
            "prompt": {
                "context_length": context.shape[-2],
                "position": _POSITION.value,
                "class_specific": context.ndim == 3,
            },
        },
    }
    prompts = {"positive": {"context": context.astype(np.float32)}}
    export_prompts(Path(_EXPORT.value), prompts, facts)
    tokens = f"a context of {context.shape[-2]} tokens"
    print(f"{_EXPORT.value}: {tokens}, {len(names)} classes")


def main() -> None:
    """Run the command of `sys.argv`."""
    run_app(_command, required=("checkpoint", "student", "class_names", "export"))


if __name__ == "__main__":
    main()
