"""Classes of images by learned prompts.

  python -m fdbpl_jax.classifier.predict CLASSIFIER IMAGE… FOLDER "*.jpg" -

CLASSIFIER is a classifier folder or its hub id, or the `export` folder of a finished
cell or of an imported context; `-` reads a list of files from standard input. Images
that cannot be read are named at the end, with exit status 1.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags, logging
from tqdm import tqdm

from fdbpl_jax.classifier.classifier import Classifier, Prediction
from fdbpl_jax.classifier.lines import WRITERS, Lines
from fdbpl_jax.classifier.pictures import named_images, read_batches
from fdbpl_jax.cli import path_flag, run_app, value_flag
from fdbpl_jax.config import Count, Fraction
from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.errors import UserError

_FORMAT = flags.DEFINE_enum("format", "table", ["table", "csv", "jsonl"], "Of output.")
_TOP = value_flag("top", 5, Count, "How many classes to name.")
_CLASSES = path_flag(
    "classes", "", "Text file of other class names than those learned on, one a line."
)
_REJECT = value_flag(
    "reject",
    None,
    Fraction,
    "0.9: say no below the rejection score that 90 % of the validation images reach.",
)
_STUDENT = path_flag("student", "", "Where the student is now, if elsewhere.")
_TEACHER = path_flag("teacher", "", "The same of PromptKD's teacher.")

_BATCH = 64


def predict_files(
    classifier: Classifier, paths: Sequence[str], top: int, names: Sequence[str]
) -> Iterator[tuple[str, Prediction] | UserError]:
    """The prediction of each image, or the error of one that cannot be read."""
    bar = tqdm(total=len(paths), unit="image", disable=not sys.stderr.isatty())
    with bar:
        for batch in read_batches(paths, _BATCH):
            said = classifier.predict(batch.pictures, top, names)
            yield from zip(batch.paths, said, strict=True)
            yield from batch.broken
            bar.update(len(batch.paths) + len(batch.broken))


def _threshold(classifier: Classifier) -> float | None:
    """The rejection score below which --reject says no, which is logged."""
    share = _REJECT.value
    if share is None:
        return None
    if _CLASSES.value:
        raise UserError(
            "--reject was chosen on images of the classifier's own classes, and "
            "--classes names others",
            "Leave one of them out.",
        )
    below = classifier.threshold(share)
    logging.info(
        "no: a rejection score below %.3f, which %g %% of the validation images reach",
        *(below, 100 * share),
    )
    return below


def _command(words: Sequence[str]) -> None:
    if not words:
        raise UserError("no classifier is named", "Give its folder, then images.")
    classifier = Classifier.load(words[0], _STUDENT.value, _TEACHER.value)
    names = read_names(Path(_CLASSES.value)) if _CLASSES.value else ()
    below = _threshold(classifier)
    paths = named_images(words[1:])
    broken: list[UserError] = []

    def lines() -> Lines:
        for line in predict_files(classifier, paths, _TOP.value, names):
            if isinstance(line, UserError):
                broken.append(line)
            else:
                yield line

    start = time.perf_counter()
    WRITERS[_FORMAT.value](lines(), below)
    rate = len(paths) / (time.perf_counter() - start)
    logging.info("%d images, %.0f per second", len(paths), rate)
    for error in broken:
        logging.error("%s", error)
    if broken:
        sys.exit(1)


def main() -> None:
    """Run the command of `sys.argv`."""
    words: list[str] = []
    run_app(lambda: _command(words), words=words)


if __name__ == "__main__":
    main()
