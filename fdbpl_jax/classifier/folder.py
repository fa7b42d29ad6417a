"""Writing a classifier folder: complete, or not at all."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import msgspec
import numpy as np
import safetensors.numpy

from fdbpl_jax import device
from fdbpl_jax.classifier.card import card
from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.sources import Source, pinned, portable
from fdbpl_jax.classifier.stored import (
    CARD,
    FACTS,
    FORMAT,
    SEALED,
    TENSORS,
    Accuracy,
    Facts,
    is_classifier,
    tensors_of,
    thresholds_of,
)
from fdbpl_jax.clip.image import to_hf_preprocessor
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_folder
from fdbpl_jax.files.sealed import file_digest, seal
from fdbpl_jax.training.checkpoint import export_prompts, load_prompts


@dataclasses.dataclass(frozen=True)
class Made:
    """How a classifier was made and how good it is, as its files say."""

    data: str  # what it was learned from, in words, on one line
    # JSON values without paths: settings, numbers of images, seeds …
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # By what was tested, such as "48 validation images".
    accuracies: Mapping[str, Accuracy] = dataclasses.field(default_factory=dict)
    # Rejection scores of validation images of the classes; none: no threshold.
    rejection: Sequence[float] = ()


def write_classifier(
    folder: Path,
    export: Path,
    made: Made,
    overwrite: bool = False,
    classifier: Classifier | None = None,
) -> None:
    """Write the classifier folder of exported prompts.

    Args:
      folder: to be made; an older classifier there is replaced if `overwrite`.
      export: of a cell or of an imported context.
      classifier: the export as it was loaded, if it was.

    Raises:
      UserError: the folder exists, nothing complete is in `export`, its student is not
        where it was, or the disk is full.
    """
    refuse_existing(folder, overwrite)
    if classifier is None:
        classifier = Classifier.load(export)
    facts = _facts(classifier, made)
    tree, values = load_prompts(export)
    sources = {"student": facts.student, "teacher": facts.teacher}
    for role, source in sources.items():
        if source is not None:
            values[role] = msgspec.to_builtins(source)
    texts = classifier.texts(classifier.class_names)
    log_scale = float(np.float32(classifier.student.params["logit_scale"]))
    tensors = tensors_of(texts, log_scale, jax.device_get(tree))

    def write(part: Path) -> None:
        export_prompts(part, tree, values)
        safetensors.numpy.save_file(tensors, part / TENSORS, {"format": "pt"})
        (part / CARD).write_text(card(folder.name, facts), encoding="utf-8")
        files = {name: file_digest(part / name) for name in SEALED}
        sealed = seal(msgspec.to_builtins(msgspec.structs.replace(facts, files=files)))
        text = json.dumps(sealed, indent=2, ensure_ascii=False) + "\n"
        (part / FACTS).write_text(text, encoding="utf-8")

    def is_there() -> bool:
        refuse_existing(folder, overwrite)
        return False

    write_folder(folder, write, is_there)


def refuse_existing(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that is there and is not to be replaced.

    Raises:
      UserError: it holds something, and that is no classifier or not `overwrite`.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_classifier(folder):
        raise UserError(
            f"'{folder}' exists and is no classifier", "Choose another folder."
        )
    if not overwrite:
        raise UserError(
            f"there is a classifier in '{folder}'",
            "Choose another folder, or add --overwrite to replace it.",
        )


def _facts(classifier: Classifier, made: Made) -> Facts:
    opened, student = classifier.opened, classifier.student
    teacher: Source | None = opened.facts.teacher
    return Facts(
        format=FORMAT,
        class_names=classifier.class_names,
        student=pinned(Source(student.name, student.fingerprint)),
        teacher=None if teacher is None else portable(teacher),
        preprocessing=to_hf_preprocessor(student.image),
        template=opened.wording.template,
        method=opened.wording.method.name,
        data=made.data,
        how=json.loads(json.dumps(made.how)),
        accuracies=dict(made.accuracies),
        thresholds=thresholds_of(made.rejection),
        versions=device.versions(),
        files={},
    )
