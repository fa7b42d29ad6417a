"""The accuracy of exported prompts on test images, of a cell or imported.

  python -m fdbpl_jax.classifier.evaluate --export=export --dataset=caltech101 \
      --data_root=DATA --classes=new
"""

from pathlib import Path

from absl import flags

from fdbpl_jax.classifier.classifier import Classifier, evaluate
from fdbpl_jax.cli import path_flag, run_app, show
from fdbpl_jax.data.open_dataset import open_by_flag
from fdbpl_jax.data.splits import subset

_EXPORT = path_flag("export", None, "Folder of the export.")
_DATASET = flags.DEFINE_string("dataset", None, "Of the test images.")
_DATA_ROOT = path_flag("data_root", "", "The folder that holds the data.")
_STUDENT = path_flag("student", "", "Where the student is now, if elsewhere.")
_TEACHER = path_flag("teacher", "", "The same of PromptKD's teacher.")
_CLASSES = flags.DEFINE_enum(
    "classes", "all", ["all", "base", "new"], "Which of the data set's classes."
)
_WORKDIR = path_flag("workdir", "runs", "Where features are kept.")


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
