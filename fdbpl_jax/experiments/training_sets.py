"""Which images, with which labels, a method is trained on."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fdbpl_jax.clip.model import Clip, logit_scale, text_features
from fdbpl_jax.data.splits import few_shot, subset
from fdbpl_jax.data.types import Dataset, Example, prompt_name
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.methods.method import Method

# By method, seed and shots: the classes and images that are trained on.
TrainedOn = Mapping[tuple[str, int, int], Dataset]


def training_data(
    method: Method,
    dataset: Dataset,
    which: str,
    shots: int,
    seed: int,
    student: Clip,
    cache: Path,
) -> Dataset:
    """The classes and the training images of a method.

    Args:
      method: what decides; see `Method.labels` and `Method.names`.
      dataset: all classes.
      which: a `subset` of them: the classes that are trained on.
      shots: labelled or chosen images a class.
      seed: of the draw of labelled ones.
      student: makes UPL's choice.
      cache: folder of the features that the choice is made by.

    Returns:
      `dataset` with these classes and training images alone.
    """
    if method.labels == "none":
        return dataset if method.names == "all" else subset(dataset, which)
    if method.labels == "pseudo":
        return _pseudo_labelled(student, subset(dataset, which), shots, cache)
    return subset(few_shot(dataset, shots, seed), which)


def _pseudo_labelled(
    student: Clip, dataset: Dataset, shots: int, cache: Path
) -> Dataset:
    """Of all training images the `shots` that the student is surest of, for each class.

    UPL's choice (Huang et al., 2022): by the zero-shot probability of the class, with
    the data set's own template. An image can be taken for several classes.
    """
    features = split_features(student, dataset, dataset.train, cache)
    names = [prompt_name(name) for name in dataset.class_names]
    text = text_features(student, [dataset.template.format(name) for name in names])
    logits = logit_scale(student) * features @ np.asarray(text).T
    score = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    best = np.argsort(-score, axis=0, kind="stable")[:shots]  # [shots C]
    train = tuple(
        Example(dataset.train[row].path, label)
        for label, rows in enumerate(best.T)
        for row in rows
    )
    return dataclasses.replace(dataset, train=train)
