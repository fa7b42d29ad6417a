"""Classes of images by learned prompts.

  python -m fdbpl_jax.classifier.predict EXPORT IMAGE… FOLDER "*.jpg" -

EXPORT is the `export` folder of a finished cell or of an imported context; `-` reads a
list of files from standard input. Images that cannot be read are named at the end, with
exit status 1.
"""

import csv
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
from fdbpl_jax.cli import run_app
from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.errors import UserError

_FORMAT = flags.DEFINE_enum("format", "table", ["table", "csv", "jsonl"], "Of output.")
_TOP = flags.DEFINE_integer("top", 5, "How many classes to name.", 1)
_CLASSES = flags.DEFINE_string(
    "classes", "", "Text file of other class names than those learned on, one a line."
)
_STUDENT = flags.DEFINE_string("student", "", "Where the student is now, if elsewhere.")
_TEACHER = flags.DEFINE_string("teacher", "", "The same of PromptKD's teacher.")

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
        print(tabulate(rows, tablefmt="plain", disable_numparse=True))


def _csv(lines: Lines) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "probability", "rejection"])
    for path, said in lines:
        for rank, named in enumerate(
            zip(said.labels, said.probabilities, strict=True), 1
        ):
            writer.writerow([path, rank, *named, said.rejection])


def _jsonl(lines: Lines) -> None:
    for path, said in lines:
        print(json.dumps({"image": path, **said._asdict()}, ensure_ascii=False))


_WRITERS: dict[str, Callable[[Lines], None]] = {
    "table": _table,
    "csv": _csv,
    "jsonl": _jsonl,
}


def _main() -> int:
    folder, *words = flags.FLAGS.arguments
    classifier = Classifier.load(folder, _STUDENT.value, _TEACHER.value)
    names = read_names(Path(_CLASSES.value)) if _CLASSES.value else ()
    paths = named_images(words)
    broken: list[UserError] = []
    start = time.perf_counter()

    def lines() -> Lines:
        for line in predict_files(classifier, paths, _TOP.value, names):
            if isinstance(line, UserError):
                broken.append(line)
            else:
                yield line

    _WRITERS[_FORMAT.value](lines())
    rate = len(paths) / (time.perf_counter() - start)
    logging.info("%d images, %.0f per second", len(paths), rate)
    for error in broken:
        logging.error("%s", error.what)
    return 1 if broken else 0


if __name__ == "__main__":
    run_app(_main, arguments="EXPORT IMAGE…")
