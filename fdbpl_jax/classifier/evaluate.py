"""The accuracy of exported prompts on test images, of a cell or imported.

  python -m fdbpl_jax.classifier.evaluate --export=export --dataset=caltech101 \
      --data_root=DATA --classes=new
"""

from pathlib import Path

import numpy as np
from absl import flags

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.cli import path_flag, run_app, show
from fdbpl_jax.data.open_dataset import open_by_flag
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.splits import subset
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import share_correct
from fdbpl_jax.evaluation.features import tower_features
from fdbpl_jax.evaluation.prompted import predictions
from fdbpl_jax.evaluation.test_set import HeldOut

_EXPORT = path_flag("export", None, "Folder of the export.")
_DATASET = flags.DEFINE_string("dataset", None, "Of the test images.")
_DATA_ROOT = path_flag("data_root", "", "The folder that holds the data.")
_STUDENT = path_flag("student", "", "Where the student is now, if elsewhere.")
_TEACHER = path_flag("teacher", "", "The same of PromptKD's teacher.")
_CLASSES = flags.DEFINE_enum(
    "classes", "all", ["all", "base", "new"], "Which of the data set's classes."
)
_WORKDIR = path_flag("workdir", "runs", "Where features are kept.")


def evaluate(classifier: Classifier, dataset: Dataset, workdir: Path) -> float:
    """Compute the accuracy on the test images, all classes together, in percent.

    Features of images are kept in the workdir where the image tower has no prompts.

    Raises:
      UserError: there is no test image, images cannot be read, or contexts of single
        classes are of others.
    """
    if not dataset.test:
        raise UserError(f"data set '{dataset.name}' has no test image", "Add some.")
    student = classifier.models.student
    classifier.classes(dataset.class_names)  # refuses names that it cannot take
    features = np.zeros((0, 0), np.float32)
    if not classifier.method.learner.prompts_images:
        images = SourceImages.recorded_in(workdir / "images", dataset.root)
        cache = workdir / "features"
        (features,) = tower_features([student], images, dataset.test, cache)
    labels = np.array([example.label for example in dataset.test], np.int32)
    held = HeldOut(dataset, dataset.test, features, labels)
    predicted = predictions(
        classifier.models,
        classifier.method.learner,
        classifier.prompt,
        classifier.trained,
        held,
    )
    return share_correct(predicted, labels)


def _command() -> None:
    classifier = Classifier.load(_EXPORT.value, _STUDENT.value, _TEACHER.value)
    dataset = open_by_flag(_DATASET.value, _DATA_ROOT.value)
    dataset = subset(dataset, _CLASSES.value)
    percent = evaluate(classifier, dataset, Path(_WORKDIR.value))
    show(
        f"{dataset.name}, {len(dataset.class_names)} classes ({_CLASSES.value}): "
        f"{percent:.2f} % of {len(dataset.test)} test images"
    )


def main() -> None:
    """Run the command of `sys.argv`."""
    run_app(_command, required=("export", "dataset"))


if __name__ == "__main__":
    main()
