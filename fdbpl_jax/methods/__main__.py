"""`python -m fdbpl_jax.methods`: every method with its settings, as a table.

`--for=maple` or any other beginning of a name shortens it.
"""

import functools

import jax
import jax.numpy as jnp
from absl import flags

from fdbpl_jax.cli import run_app
from fdbpl_jax.clip.config import parse_config
from fdbpl_jax.clip.tokenizer import load_tokenizer
from fdbpl_jax.errors import unknown_name
from fdbpl_jax.learners.coop import negative_prompt
from fdbpl_jax.learners.learner import init_prompt
from fdbpl_jax.methods.method import METHODS, Method
from fdbpl_jax.methods.published import METHOD_OPTIM, METHOD_PROMPT, SOURCE, preset_of
from fdbpl_jax.reports.text import markdown_table
from fdbpl_jax.shapes.pair import embedded

_FOR = flags.DEFINE_string("for", "", "Only methods whose names begin so.")
_COLUMNS = (
    *("method", "learner", "objective", "data", "trained values"),
    *("epochs", "batch", "learning rate", "settings from"),
)
_STUDENT = parse_config({})  # ViT-B/32; what prompts see of ViT-B/16 is no different
_TEACHER = 768  # joint width of ViT-L/14


def trained_values(name: str) -> int:
    """Numbers that a method learns with a ViT-B student and a ViT-L/14 teacher."""
    tokenizer = load_tokenizer(embedded("student"))  # any that spells the words
    method, prompt = METHODS[name], METHOD_PROMPT[name]
    parts = [(method.learner, prompt)]
    if method.negative:
        parts.append(("coop", negative_prompt(tokenizer, prompt)))
    text = _STUDENT.text
    table = jax.ShapeDtypeStruct((text.vocab_size, text.tower.width), jnp.float32)
    count = 0
    for learner, own in parts:
        make = functools.partial(
            init_prompt,
            learner=learner,
            config=_STUDENT,
            tokenizer=tokenizer,
            prompt=own,
            classes=1,
            teacher=_TEACHER,
        )
        params = {"text": {"token_embedding": table}}
        shapes = jax.eval_shape(make, jax.random.key(0), params=params)
        count += sum(leaf.size for leaf in jax.tree.leaves(shapes))
    return count


def _data(method: Method) -> str:
    """What training reads, in words."""
    seen = "views" if method.prompts_images or method.online else "stored features"
    if method.reads_table and method.prompts_images:
        seen = "stored regions"
    whose = {
        "data": "labels" if method.loss == "cross_entropy" else "no labels",
        "pseudo": "own labels",
        "none": "no labels, all images",
    }[method.labels]
    more = {"base": "", "all": ", all classes", "list": ", a list of names"}
    return f"{seen}, {whose}{more[method.names]}"


def _row(name: str) -> tuple[str, ...]:
    method, optim = METHODS[name], METHOD_OPTIM[name]
    return (
        name,
        method.learner,
        " + ".join(part for part in (method.loss, method.term) if part),
        _data(method),
        f"{trained_values(name):,}",
        str(optim.epochs),
        str(optim.batch_size),
        f"{optim.lr:g}",
        "FDBPL" if optim.warmup_epochs == 0 else SOURCE[preset_of(name)],
    )


def _main() -> None:
    names = [name for name in METHODS if name.startswith(_FOR.value)]
    if not names:
        raise unknown_name("method", _FOR.value, METHODS)
    print(markdown_table(_COLUMNS, [_row(name) for name in names], left=4))


if __name__ == "__main__":
    run_app(_main)
