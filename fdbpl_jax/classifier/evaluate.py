"""The accuracy of learned prompts on labelled images, per class too.

  python -m fdbpl_jax.classifier.evaluate CLASSIFIER DATA

CLASSIFIER is a classifier folder or its hub id, or the `export` folder of a finished
cell or of an imported context. DATA is the name of a data set, a folder of class
folders or of `train`, `val` and `test`, or a CSV file.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tabulate import tabulate

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.classifier.tested import Evaluated, evaluate
from fdbpl_jax.cli import path_flag, run_app, show
from fdbpl_jax.data.open_dataset import open_by_flag
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import confusion_matrix
from fdbpl_jax.files import csv_text, write_text

_DATA_ROOT = path_flag(
    "data_root", "", "The folder that holds the data, where DATA is a name."
)
_STUDENT = path_flag("student", "", "Where the student is now, if elsewhere.")
_TEACHER = path_flag("teacher", "", "The same of PromptKD's teacher.")
_CLASSES = flags.DEFINE_enum(
    "classes", "all", ["all", "base", "new"], "Which of the data set's classes."
)
_SPLIT = flags.DEFINE_enum(
    "split", "test", ["test", "val", "train", "all"], "Which of its images."
)
_OUT = path_flag("out", "", "Folder for the tables and all predictions as CSV files.")
_WORKDIR = path_flag("workdir", "runs", "Where features are kept.")

_SHOWN = 20  # lines of a table on the terminal


def accuracy_text(accuracy: Accuracy) -> str:
    """A percentage with its standard error."""
    return f"{accuracy.percent:.2f} ± {accuracy.standard_error or 0:.2f} %"


def _class_rows(tested: Evaluated) -> list[list[object]]:
    """Class, images, accuracy, standard error; None for a class without images."""
    rows: list[list[object]] = []
    for name, accuracy in zip(tested.class_names, tested.by_class(), strict=True):
        if accuracy is None:
            rows.append([name, 0, None, None])
        else:
            values = accuracy.percent, accuracy.standard_error
            rows.append([name, accuracy.images, *values])
    return rows


def _tables(tested: Evaluated) -> str:
    """The classes, lowest accuracy first, and the pairs that are confused most."""
    rows = [row for row in _class_rows(tested) if row[1]]
    rows.sort(key=lambda row: float(str(row[2])))
    titles = ["class", "images", "accuracy %", "± s.e."]
    parts = [_table(rows, titles, ".2f")]
    if pairs := tested.confused():
        parts.append(_table(pairs, ["image of", "classified as", "images"], "g"))
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[object]], titles: list[str], numbers: str) -> str:
    text = tabulate(rows[:_SHOWN], titles, tablefmt="simple", floatfmt=numbers)
    more = len(rows) - _SHOWN
    return f"{text}\n… and {more} more; --out=FOLDER writes all" if more > 0 else text


def write_tables(folder: Path, tested: Evaluated) -> None:
    """Write `classes.csv`, `confusion.csv` and `predictions.csv` into a folder."""
    names = tested.class_names
    matrix = confusion_matrix(tested.predicted, tested.labels, len(names)).tolist()
    images = zip(tested.paths, tested.labels, tested.predicted, strict=True)
    tables: dict[str, list[list[object]]] = {
        "classes": [
            ["class", "images", "accuracy_percent", "standard_error"],
            *_class_rows(tested),
        ],
        "confusion": [
            ["image of", *names],
            *([name, *row] for name, row in zip(names, matrix, strict=True)),
        ],
        "predictions": [
            ["image", "class", "classified as"],
            *([path, names[label], names[guess]] for path, label, guess in images),
        ],
    }
    for name, lines in tables.items():
        write_text(folder / f"{name}.csv", csv_text(lines))


def _command(words: Sequence[str]) -> None:
    if len(words) != 2:
        raise UserError(
            f"a classifier and its test data are needed, {len(words)} words are given",
            "Give the folder of the classifier, then the name or path of the data.",
        )
    classifier = Classifier.load(words[0], _STUDENT.value, _TEACHER.value)
    dataset = subset(open_by_flag(words[1], _DATA_ROOT.value), _CLASSES.value)
    tested = evaluate(classifier, dataset, Path(_WORKDIR.value), _SPLIT.value)
    show(
        f"{dataset.name}, {len(dataset.class_names)} classes ({_CLASSES.value}): "
        f"{accuracy_text(tested.accuracy)} of {len(tested.labels)} "
        f"{'' if _SPLIT.value == 'all' else _SPLIT.value + ' '}images\n"
    )
    show(_tables(tested))
    if _OUT.value:
        write_tables(Path(_OUT.value), tested)


def main() -> None:
    """Run the command of `sys.argv`."""
    words: list[str] = []
    run_app(lambda: _command(words), words=words)


if __name__ == "__main__":
    main()
