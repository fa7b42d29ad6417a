"""The accuracy of exported prompts on test images, of a cell or imported.

  python -m fdbpl_jax.interop.evaluate --export=export --dataset=caltech101 \
      --data_root=DATA --classes=new
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from fdbpl_jax.cli import run_app, show
from fdbpl_jax.clip.model import cast, load_clip
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.open_dataset import open_by_flag
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.splits import subset
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import share_correct
from fdbpl_jax.evaluation.features import tower_features
from fdbpl_jax.evaluation.prompted import predictions
from fdbpl_jax.evaluation.test_set import HeldOut
from fdbpl_jax.learners.learner import Learner, Models, Trained, from_tree
from fdbpl_jax.methods.table import method_named
from fdbpl_jax.training.checkpoint import load_prompts

_EXPORT = flags.DEFINE_string("export", None, "Folder of the export.")
_DATASET = flags.DEFINE_string("dataset", None, "Of the test images.")
_DATA_ROOT = flags.DEFINE_string("data_root", "", "The folder that holds the data.")
_STUDENT = flags.DEFINE_string("student", "", "Where the student is now, if elsewhere.")
_TEACHER = flags.DEFINE_string("teacher", "", "The same of PromptKD's teacher.")
_CLASSES = flags.DEFINE_enum(
    "classes", "all", ["all", "base", "new"], "Which of the data set's classes."
)
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Where features are kept.")


class Export(NamedTuple):
    """Exported prompts with the models that they are used with."""

    learner: Learner
    prompt: PromptConfig
    trained: Trained
    models: Models
    class_names: tuple[str, ...]  # that they were trained on


def open_export(directory: Path, student: str = "", teacher: str = "") -> Export:
    """Open an export with its models, in the dtype that the cell had.

    Args:
      directory: the export's folder.
      student, teacher: where the models are now; empty: where they were.

    Raises:
      UserError: it is no export, or a model is another one.
    """
    prompts, facts = load_prompts(directory)
    learner = method_named(facts["config"]["method"]).learner
    dtype = tower_dtype(facts["config"].get("dtype", ""))
    clip = cast(load_clip(student or facts["student"]["name"]), dtype)
    _check_model("student", clip.fingerprint, facts)
    running, other = None, clip
    if learner.init_running:  # in the teacher's feature space
        other = cast(load_clip(teacher or facts["teacher"]["name"]), dtype)
        _check_model("teacher", other.fingerprint, facts)
        kind = type(learner.init_running(other.config.projection))
        running = from_tree(kind, prompts["running"])
    return Export(
        learner,
        # Imported contexts of earlier versions do not say that they have no words.
        PromptConfig(**{"init": "", **facts["config"]["prompt"]}),
        Trained(from_tree(learner.prompt, prompts["positive"]), running),
        Models(clip, other),
        tuple(facts["class_names"]),
    )


def _check_model(role: str, fingerprint: str, facts: Mapping[str, Any]) -> None:
    if fingerprint != facts[role]["sha256"]:
        raise UserError(
            f"this is another {role} than the export's, '{facts[role]['name']}'",
            f"Set --{role} to that one or where it is now.",
        )


def evaluate(export: Export, dataset: Dataset, workdir: Path) -> float:
    """Compute the accuracy on the test images, all classes together, in percent.

    Features of images are kept in the workdir where the image tower has no prompts.

    Raises:
      UserError: there is no test image, images cannot be read, or contexts of single
        classes are of others.
    """
    if not dataset.test:
        raise UserError(f"data set '{dataset.name}' has no test image", "Add some.")
    names = dataset.class_names
    student = export.models.student
    refuse_same_tokens(student.tokenizer, names, dataset.name)
    if export.prompt.class_specific and names != export.class_names:
        raise UserError(
            f"these contexts are of {len(export.class_names)} single classes, and "
            f"'{dataset.name}' has others or another order",
            "Test them on the classes that they were trained on.",
        )
    features = np.zeros((0, 0), np.float32)
    if not export.learner.prompts_images:
        images = SourceImages.recorded_in(workdir / "images", dataset.root)
        cache = workdir / "features"
        (features,) = tower_features([student], images, dataset.test, cache)
    labels = np.array([example.label for example in dataset.test], np.int32)
    held = HeldOut(dataset, dataset.test, features, labels)
    predicted = predictions(
        export.models, export.learner, export.prompt, export.trained, held
    )
    return share_correct(predicted, labels)


def _main() -> None:
    export = open_export(Path(_EXPORT.value), _STUDENT.value, _TEACHER.value)
    dataset = open_by_flag(_DATASET.value, _DATA_ROOT.value)
    dataset = subset(dataset, _CLASSES.value)
    percent = evaluate(export, dataset, Path(_WORKDIR.value))
    show(
        f"{dataset.name}, {len(dataset.class_names)} classes ({_CLASSES.value}): "
        f"{percent:.2f} % of {len(dataset.test)} test images"
    )


if __name__ == "__main__":
    run_app(_main, required=("export", "dataset"))
