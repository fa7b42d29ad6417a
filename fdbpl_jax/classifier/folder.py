"""Writing a classifier folder: complete, or not at all."""

import json
from pathlib import Path

import jax
import msgspec
import numpy as np
import safetensors.numpy

from fdbpl_jax import device
from fdbpl_jax.classifier.card import card
from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.made import Made
from fdbpl_jax.classifier.sources import Source, pinned, portable
from fdbpl_jax.classifier.stored import (
    CARD,
    FACTS,
    FORMAT,
    SEALED,
    TENSORS,
    Facts,
    tensors_of,
    thresholds_of,
)
from fdbpl_jax.clip.image import to_hf_preprocessor
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_folder
from fdbpl_jax.files.sealed import file_digest, seal
from fdbpl_jax.training.checkpoint import export_prompts, load_prompts


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


def refuse_existing(folder: Path, overwrite: bool, mark: str = FACTS) -> None:
    """Refuse a folder that is there and is not to be replaced.

    `mark` is the file by which what may be replaced is known.

    Raises:
      UserError: the folder holds something, and not `mark`, or not `overwrite`.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / mark).is_file():
        raise UserError(
            f"'{folder}' exists and holds no {mark}", "Choose another folder."
        )
    if not overwrite:
        raise UserError(
            f"'{folder}' exists already, with a {mark}",
            "Choose another folder, or add --overwrite to replace it.",
        )


def _facts(classifier: Classifier, made: Made) -> Facts:
    student, teacher = classifier.student, classifier.opened.facts.teacher
    return Facts(
        format=FORMAT,
        class_names=classifier.class_names,
        student=pinned(Source(student.name, student.fingerprint)),
        teacher=None if teacher is None else portable(teacher),
        preprocessing=to_hf_preprocessor(student.image),
        template=classifier.template,
        method=classifier.method.name,
        data=made.data,
        how=json.loads(json.dumps(made.how)),
        accuracies=dict(made.accuracies),
        thresholds=thresholds_of(made.rejection),
        versions=device.versions(),
        files={},
    )
