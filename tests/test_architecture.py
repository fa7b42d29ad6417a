"""Names of methods decide nothing but in the tables; a new learner needs no other file.

The first test reads the package's syntax trees; the second trains a learner that is
made up here.
"""

import ast
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from support.protocol_runs import rows_of

import fdbpl_jax
from fdbpl_jax.learners.coop import COOP, encode_context, prompted_classes
from fdbpl_jax.learners.learner import Learner, from_tree
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.checkpoint import load_prompts

PACKAGE = Path(fdbpl_jax.__file__).parent
# Where learners, losses, regularizers and methods are named.
NAMING = ("learners/", "losses/", "methods/table.py", "methods/published.py")


EPOCHS = 12  # of the learner made up here


def names() -> set[str]:
    """Names of all methods and of what they are made of."""
    records = [
        record
        for method in METHODS.values()
        for record in (method, method.learner, method.loss, method.regularizer)
        if record is not None
    ]
    return {record.name for record in records}


def literals(node: ast.AST) -> Iterator[str]:
    """Strings that an operand is, or lists: no key of another table."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for part in node.elts:
            yield from literals(part)
    elif isinstance(node, ast.Dict):
        for part in node.keys:
            if part is not None:
                yield from literals(part)


def patterns(node: ast.AST) -> Iterator[str]:
    """Strings of a case of a match statement."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def compared(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and value of every string that something is compared with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for operator, part in zip(node.ops, node.comparators, strict=True):
                if isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                    yield from ((node.lineno, text) for text in literals(node.left))
                    yield from ((node.lineno, text) for text in literals(part))
        elif isinstance(node, ast.match_case):
            yield from ((node.pattern.lineno, x) for x in patterns(node.pattern))


def offences(source: str) -> list[tuple[int, str]]:
    known = names()
    return [(line, x) for line, x in compared(ast.parse(source)) if x in known]


def test_no_module_but_the_tables_compares_names():
    bad = [
        f"{path.relative_to(PACKAGE)}:{line}: '{text}'"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not str(path.relative_to(PACKAGE)).startswith(NAMING)
        for line, text in offences(path.read_text())
    ]
    assert not bad


def test_a_comparison_of_a_name_is_noticed():
    sources = (
        "if method == 'coop+kdpl': pass",
        "x = 'maple' != learner",
        "y = loss in ('kdpl', 'fdbpl')",
        "match term:\n    case 'prograd' | 'other': pass",
    )
    caught = [[text for _, text in offences(source)] for source in sources]
    assert caught == [["coop+kdpl"], ["maple"], ["kdpl", "fdbpl"], ["prograd"]]
    assert not offences("if shape == 'circle': table = {'coop': 1}")


class ScaledPrompt(NamedTuple):
    """A context with a learned length."""

    context: jax.Array  # [L W]
    scale: jax.Array  # []


def _init(keys, start):
    return ScaledPrompt(COOP.init(keys, start).context, jnp.ones(()))


def _text_features(student, text, classes, prompt, image):
    context = prompt.scale * prompt.context
    return encode_context(student.config.text, text, classes.layout, context)


SCALED = Learner(
    name="scaled",
    prompt=ScaledPrompt,
    settings=frozenset({"context_length"}),
    init=_init,
    classes=prompted_classes,
    text_features=_text_features,
)


def test_a_new_learner_needs_a_record_and_a_row_of_the_table(monkeypatch, tmp_path):
    method = dataclasses.replace(METHODS["coop"], name="scaled", learner=SCALED)
    monkeypatch.setitem(METHODS, "scaled", method)
    changes = {"methods": "scaled", "optim.epochs": EPOCHS, "optim.lr": 0.002}
    rows = rows_of("base2new", tmp_path, seeds=(1,), **changes)
    row = rows["shapes-negative", "scaled"]
    assert row.base_mean > 0
    (folder,) = (tmp_path / "base2new" / "shapes-negative" / "scaled").iterdir()
    tree, facts = load_prompts(folder / "export")
    prompt = from_tree(ScaledPrompt, tree["positive"])
    assert prompt.context.size + 1 == row.trained_values
    assert float(prompt.scale) != 1
    assert facts["config"]["method"] == "scaled"
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    first, last = (
        np.mean([step["loss"] for step in steps if step["epoch"] == epoch])
        for epoch in (0, EPOCHS - 1)
    )
    assert last < first - 0.1
