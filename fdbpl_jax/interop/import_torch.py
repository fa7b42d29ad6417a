"""Contexts that CoOp or KDPL trained, as our exports.

  python -m fdbpl_jax.interop.import_torch \
      --checkpoint=prompt_learner/model.pth.tar-50 \
      --student=openai/clip-vit-base-patch32 --class_names=classes.txt --export=export

Tensors alone are read, without PyTorch; nothing in the file is run.
`fdbpl evaluate` tests the export, `fdbpl export` makes a classifier folder of it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import flags, logging
from jaxtyping import Float, Float32

from fdbpl_jax.cli import path_flag, run_app, show
from fdbpl_jax.clip.model import Clip, load_clip
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.data.types import first_few, prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.interop.torch_file import read_state
from fdbpl_jax.learners.coop import class_row
from fdbpl_jax.training.checkpoint import export_prompts

_CHECKPOINT = path_flag("checkpoint", None, "Of a prompt learner.")
_STUDENT = path_flag("student", None, "The CLIP it was trained on.")
_NAMES = path_flag("class_names", None, "Text file, one a line, in order.")
_POSITION = flags.DEFINE_enum(
    "position", "end", ["end", "middle", "front"], "Of the class name."
)
_EXPORT = path_flag("export", None, "Folder of the export, made new.")

_KEPT = ("token_prefix", "token_suffix")  # embeddings that CoOp keeps beside "ctx"
_CLASSES = "Give the classes that it was trained on, in that order."
_HALF = 2e-3  # what half precision may make of an embedding, whose values are below 1


def check_context(
    tensors: Mapping[str, Float32[np.ndarray, "..."]],
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
            f"the checkpoint has no 'ctx' but {first_few(sorted(tensors))}",
            "Give a checkpoint of CoOp or of KDPL on it.",
        )
    context, width = tensors["ctx"], clip.config.text.tower.width
    if context.ndim not in (2, 3) or context.shape[-1] != width or not context.size:
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
    if others := sorted(tensors.keys() - {"ctx", *_KEPT}):
        logging.warning(
            "%d tensors are not used: %s. CoOp and KgCoOp need none of them; of CoCoOp "
            "or MaPLe the context alone is another prompt.",
            *(len(others), first_few(others)),
        )
    _check_words(tensors, clip, class_names, context.shape[-2])
    return context


def _check_words(
    tensors: Mapping[str, Float32[np.ndarray, "..."]],
    clip: Clip,
    class_names: Sequence[str],
    length: int,
) -> None:
    """CoOp keeps the embeddings of SOS and of name, "." and EOS, wherever they go."""
    prompt = PromptConfig(context_length=length, init="")
    table = np.asarray(clip.params["text"]["token_embedding"], np.float32)
    for key, first in zip(_KEPT, (0, 1 + length), strict=True):
        if key not in tensors:
            continue
        stored = tensors[key]
        if stored.ndim != 3 or len(stored) != len(class_names):
            raise UserError(
                f"'{key}' is {list(stored.shape)}; {len(class_names)} names are given",
                _CLASSES,
            )
        for words, embeddings in zip(
            map(prompt_name, class_names), stored, strict=True
        ):
            row = class_row(clip.tokenizer, clip.config.text, words, prompt)[0]
            ids = row[first : 1 if key == "token_prefix" else None]
            if not _alike(embeddings[: len(ids)], table[ids]):
                raise UserError(
                    f"'{key}' does not hold '{words}' as '{clip.name}' embeds it",
                    "Give the student and the classes, in order, it was trained on.",
                )


def _alike(actual: np.ndarray, expected: np.ndarray) -> bool:
    fits = actual.shape == expected.shape
    return fits and bool((np.abs(actual - expected) < _HALF).all())


def _command() -> None:
    clip = load_clip(_STUDENT.value)
    names = read_names(Path(_NAMES.value))
    refuse_same_tokens(clip.tokenizer, names, _NAMES.value)
    context = check_context(read_state(Path(_CHECKPOINT.value)), clip, names)
    prompt = PromptConfig(
        context_length=context.shape[-2],
        init="",
        position=_POSITION.value,
        class_specific=context.ndim == 3,
    )
    facts = {
        "class_names": list(names),
        "student": {"name": clip.name, "sha256": clip.fingerprint},
        "config": {
            "method": "coop",
            "imported": Path(_CHECKPOINT.value).name,
            "prompt": dataclasses.asdict(prompt),
        },
    }
    prompts = {"positive": {"context": context}}
    export_prompts(Path(_EXPORT.value), prompts, facts)
    tokens = f"a context of {context.shape[-2]} tokens"
    show(f"{_EXPORT.value}: {tokens}, {len(names)} classes")


def main() -> None:
    """Run the command of `sys.argv`."""
    run_app(_command, required=("checkpoint", "student", "class_names", "export"))


if __name__ == "__main__":
    main()
