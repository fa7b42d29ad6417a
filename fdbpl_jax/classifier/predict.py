"""Classes of images by learned prompts.

  python -m fdbpl_jax.classifier.predict EXPORT IMAGE… FOLDER "*.jpg" -

EXPORT is the `export` folder of a finished cell or of an imported context; `-` reads a
list of files from standard input. Images that cannot be read are named at the end, with
exit status 1.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import flags, logging
from tabulate import tabulate
from tqdm import tqdm

from fdbpl_jax.classifier.classifier import Classifier, Prediction
from fdbpl_jax.classifier.pictures import named_images, read_batches
from fdbpl_jax.cli import path_flag, run_app, show, value_flag
from fdbpl_jax.config import Count
from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import csv_text

_FORMAT = flags.DEFINE_enum("format", "table", ["table", "csv", "jsonl"], "Of output.")
_TOP = value_flag("top", 5, Count, "How many classes to name.")
_CLASSES = path_flag(
    "classes", "", "Text file of other class names than those learned on, one a line."
)
_STUDENT = path_flag("student", "", "Where the student is now, if elsewhere.")
_TEACHER = path_flag("teacher", "", "The same of PromptKD's teacher.")

_BATCH = 64
Lines = Iterator[tuple[str, Prediction]]


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


def _table(lines: Lines) -> None:
    rows = []
    for path, said in lines:
        named = zip(said.labels, said.probabilities, strict=True)
        texts = [f"{label} {100 * share:.1f} %" for label, share in named]
        rejection = [] if said.rejection is None else [f"{said.rejection:.2f}"]
        rows.append([path, *rejection, *texts])
    if rows:
        show(tabulate(rows, tablefmt="plain", disable_numparse=True))


def _csv(lines: Lines) -> None:
    titles = ["image", "rank", "label", "probability", "rejection"]
    show(csv_text([titles])[:-1])
    for path, said in lines:
        named = zip(said.labels, said.probabilities, strict=True)
        rows = [[path, n, *pair, said.rejection] for n, pair in enumerate(named, 1)]
        show(csv_text(rows)[:-1])


def _jsonl(lines: Lines) -> None:
    for path, said in lines:
        show(json.dumps({"image": path, **said._asdict()}, ensure_ascii=False))


_WRITERS: dict[str, Callable[[Lines], None]] = {
    "table": _table,
    "csv": _csv,
    "jsonl": _jsonl,
}


def _command(words: Sequence[str]) -> None:
    if not words:
        raise UserError("no export is named", "Give its folder, then images.")
    classifier = Classifier.load(words[0], _STUDENT.value, _TEACHER.value)
    names = read_names(Path(_CLASSES.value)) if _CLASSES.value else ()
    paths = named_images(words[1:])
    broken: list[UserError] = []

    def lines() -> Lines:
        for line in predict_files(classifier, paths, _TOP.value, names):
            if isinstance(line, UserError):
                broken.append(line)
            else:
                yield line

    start = time.perf_counter()
    _WRITERS[_FORMAT.value](lines())
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
