"""A classifier of a folder of images.

  fdbpl learn my_images --student=STUDENT --teacher=TEACHER --out=my_classifier
  fdbpl learn unlabelled/ --classes=names.txt --student=… --teacher=… --out=…

The images are in class folders, in a CSV list, in a folder of Hugging Face `datasets`,
or without labels beside a list of the classes' names.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags, logging
from tabulate import tabulate

from fdbpl_jax import device
from fdbpl_jax.cli import path_flag, run_app, show, value_flag
from fdbpl_jax.config import Count, CountOrNone, NotNegative, Seed
from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.errors import UserError
from fdbpl_jax.learning.learn import learn
from fdbpl_jax.learning.made import Learned
from fdbpl_jax.learning.options import LearnOptions, workdir_of
from fdbpl_jax.learning.trainings import Score

_OUT = path_flag("out", "my_classifier", "Folder of the classifier.")
_STUDENT = path_flag("student", "", "Directory or hub id of the CLIP that is prompted.")
_TEACHER = path_flag("teacher", "", "Directory or hub id of the CLIP that teaches it.")
_CLASSES = path_flag("classes", "", "Text file of the classes' names, one per line.")
_TEMPLATE = flags.DEFINE_string(
    "template", "", 'Hand-written prompt of the data, such as "a scan of a {}."'
)
_SHOTS = value_flag("shots", 0, CountOrNone, "Training images per class; 0: all.")
_METHODS = flags.DEFINE_list(
    "methods",
    [],
    "To choose from, simpler ones first; none: what suits the images.",
)
_MINUTES = value_flag(
    "minutes", 0.0, NotNegative, "About how long it may take; 0: no limit."
)
_REGIONS = value_flag("regions", 8, Count, "Regions of each image in the table.")
_SEED = value_flag("seed", 1, Seed, "Of validation images, shots and order.")
_KEEP_VALIDATION = flags.DEFINE_bool(
    "keep_validation", False, "Do not train on the validation images in the end."
)
_SKIP_BROKEN = flags.DEFINE_bool(
    "skip_broken_images", False, "Leave out images that cannot be read, and list them."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the classifier in --out.")
_WORKDIR = path_flag("workdir", "runs", "Where tables and finished trainings are kept.")


def _options() -> LearnOptions:
    return LearnOptions(
        student=_STUDENT.value,
        teacher=_TEACHER.value,
        classes=read_names(Path(_CLASSES.value)) if _CLASSES.value else (),
        template=_TEMPLATE.value,
        shots=_SHOTS.value,
        methods=tuple(_METHODS.value),
        minutes=_MINUTES.value,
        regions=_REGIONS.value,
        seed=_SEED.value,
        keep_validation=_KEEP_VALIDATION.value,
        skip_broken_images=_SKIP_BROKEN.value,
        workdir=_WORKDIR.value,
        overwrite=_OVERWRITE.value,
    )


def _command(words: Sequence[str]) -> None:
    if len(words) != 1:
        raise UserError(
            f"{len(words)} data sets are named", "Give one: a folder or a CSV list."
        )
    options = _options()
    logging.info("computing on %s", device.describe())
    device.keep_compiled(workdir_of(options) / "compiled")
    learned = learn(words[0], _OUT.value, options)
    show("\n".join(summary(learned, options)))


def summary(learned: Learned, options: LearnOptions) -> Iterator[str]:
    """The last lines on the terminal: the accuracy, the classifier, and its use."""
    chosen, count = learned.chosen, learned.chosen.images
    yield ""
    teacher = [learned.teacher] if learned.has_labels else []
    yield tabulate(map(_row, [*learned.scores, *teacher]), tablefmt="plain")
    yield ""
    if learned.has_labels:
        yield (
            f"{chosen.name}: {_percent(chosen)} of {count} validation images; the "
            "simplest that is within the standard error of the best"
        )
    else:
        share = _percent(chosen)
        yield f"{chosen.name} agrees with the teacher on {share} of {count} images"
    if learned.test is not None:
        test = learned.test
        yield (
            f"accuracy on {test.images} test images: {test.percent:.1f} ± "
            f"{test.standard_error:.1f} %"
        )
    yield f"classifier: {learned.folder}"
    command = ["fdbpl", "predict", str(learned.folder), "IMAGE"]
    if options.student and Path(options.student).is_dir():
        command.append(f"--student={options.student}")
    yield f"use it: {shlex.join(command)}"


def _row(score: Score) -> tuple[str, str]:
    return score.name, _percent(score)


def _percent(score: Score) -> str:
    return f"{score.accuracy:.1f} ± {score.error:.1f} %"


def main() -> None:
    """Run the command of `sys.argv`."""
    words: list[str] = []
    run_app(lambda: _command(words), words=words)


if __name__ == "__main__":
    main()
