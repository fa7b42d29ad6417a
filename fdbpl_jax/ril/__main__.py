"""RIL tables on the command line: `python -m fdbpl_jax.ril build|verify|show`.

build --dataset=caltech101 --data_root=DATA --path=TABLE --student=… --teacher=…
verify TABLE
show TABLE
show TABLE --picture=FILE.png --data_root=DATA [--image=PATH]

`show` prints what is in a table. With --picture it draws it instead: an image, its
regions coloured by their weight w, the histogram of w, how often teacher and label
agree, and the most and the least informative regions with their labels. The data set
is the table's; an embedded one needs no --data_root.
"""

import dataclasses
import sys

from absl import flags, logging

from fdbpl_jax.cli import command_of, path_flag, run_app, share_of, show, value_flag
from fdbpl_jax.clip.model import cast, load_clip
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.config import (
    Count,
    CountOrNone,
    CropConfig,
    Fraction,
    Positive,
    RilConfig,
    Seed,
    Threads,
)
from fdbpl_jax.data.open_dataset import open_by_flag
from fdbpl_jax.data.splits import few_shot, subset
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.files import png_file, write_bytes
from fdbpl_jax.plots import png
from fdbpl_jax.ril.blocks import BuildSettings
from fdbpl_jax.ril.build import build_table, plan_spec
from fdbpl_jax.ril.inspect.picture import draw_table
from fdbpl_jax.ril.inspect.show import describe
from fdbpl_jax.ril.inspect.verify import verify_table
from fdbpl_jax.ril.table import open_table
from fdbpl_jax.shapes import embedded

_CROP = CropConfig()

_PATH = path_flag("path", "", "The table: a folder, or a URL like gs://….")
_DATASET = flags.DEFINE_string("dataset", "shapes-negative", "Of the training images.")
_DATA_ROOT = path_flag("data_root", "", "The folder that holds the data.")
_PICTURE = path_flag("picture", "", "show: the PNG file to draw into.")
_IMAGE = flags.DEFINE_string(
    "image", "", "show: the image that is drawn, by its path in the table."
)
_STUDENT = path_flag("student", "", "Directory or hub id; or the embedded.")
_TEACHER = path_flag("teacher", "", "Directory or hub id; or the embedded.")
_FEATURES = flags.DEFINE_bool("features", True, "Store the student's features.")
_SUBSET = flags.DEFINE_string("subset", "base", "Classes: base, new or all.")
_SHOTS = value_flag("shots", 16, CountOrNone, "Images per class; 0: all.")
_SEEDS = value_flag(
    "seeds", (1, 2, 3), tuple[Seed, ...], "Seeds whose few-shot images are stored."
)
_REGIONS = value_flag("regions", 50, Count, "M, per image; the paper: 500.")
_KEEP = value_flag("keep", 0, CountOrNone, "K; 0: 20, or all if there are fewer.")
_RIL_SEED = value_flag("ril_seed", 0, Seed, "Seed of the boxes and flips.")
_SCALE = value_flag(
    "scale", _CROP.scale, tuple[Fraction, Fraction], "Share of the area."
)
_RATIO = value_flag("ratio", _CROP.ratio, tuple[Positive, Positive], "Width / height.")
_FLIP = value_flag("flip", _CROP.flip, Fraction, "Probability of mirroring.")
_BATCH = value_flag("batch_size", 128, Count, "Regions computed at once.")
_DTYPE = flags.DEFINE_enum(
    "dtype", "", ["", "float32", "bfloat16"],
    "Of the towers; default: bfloat16 where the device has it, else float32.",
)  # fmt: skip
_WORKERS = value_flag("workers", 0, Threads, "Threads; 0: one per processor.")
_SHARD = flags.DEFINE_string("shard", "0/1", "index/count: every count-th block only.")


def _build() -> None:
    path, share = _path(), share_of(_SHARD.value)
    crop = CropConfig(_pair(_SCALE), _pair(_RATIO), _FLIP.value)
    config = RilConfig(keep=_KEEP.value, seed=_RIL_SEED.value, crop=crop)
    dataset = open_by_flag(_DATASET.value, _DATA_ROOT.value)
    dtype = tower_dtype(_DTYPE.value)
    teacher = cast(load_clip(_TEACHER.value or str(embedded("teacher"))), dtype)
    student = None
    if _FEATURES.value:
        student = cast(load_clip(_STUDENT.value or str(embedded("student"))), dtype)
    refuse_same_tokens(teacher.tokenizer, dataset.class_names, dataset.name)
    spec = plan_spec(_chosen(dataset), teacher, student, config, _REGIONS.value)
    settings = BuildSettings(_BATCH.value, _WORKERS.value, share)
    report = build_table(path, spec, dataset.root, teacher, student, settings=settings)
    rate = report.regions_built / report.seconds
    logging.info(
        "RIL table '%s': %d of its %d regions built in %.1f s, %.0f regions/s",
        *(path, report.regions_built, report.regions, report.seconds, rate),
    )


def _chosen(dataset: Dataset) -> Dataset:
    """Select the classes asked for, with the training images of all seeds."""
    chosen = subset(dataset, _SUBSET.value)
    if not _SHOTS.value:
        return chosen
    drawn: set[Example] = set()
    for seed in _SEEDS.value:
        shots = few_shot(dataset, _SHOTS.value, seed)
        drawn.update(subset(shots, _SUBSET.value).train)
    return dataclasses.replace(chosen, train=tuple(drawn))


def _pair(flag: flags.FlagHolder) -> tuple[float, float]:
    if not 0 < flag.value[0] <= flag.value[1]:
        advice = "Give two positive numbers, the lower one first."
        raise UserError(f"--{flag.name} is {flag.value}", advice)
    return flag.value


def _path() -> str:
    if not _PATH.value:
        raise UserError("no table is named", "Give its folder: --path=FOLDER.")
    return _PATH.value


def _verify() -> None:
    report = verify_table(_path())
    print(
        f"OK: {report.images} images, {report.regions} regions, {report.arrays} "
        f"arrays, features of {report.students} student(s)"
    )


def _show() -> None:
    if not _PICTURE.value:
        if _IMAGE.value:
            raise UserError("--image is without --picture", "Add --picture=FILE.png.")
        show(describe(_path()))
        return
    file = png_file(_PICTURE.value)
    table = open_table(_path(), "")
    dataset = open_by_flag(table.spec.dataset, _DATA_ROOT.value)
    write_bytes(file, png(draw_table(table, dataset, _IMAGE.value)))
    logging.info("%s", file)


def main() -> None:
    """Run the command that `sys.argv` names; a word after it becomes --path."""
    name, path = command_of(sys.argv), command_of(sys.argv)
    if path:
        sys.argv.insert(1, f"--path={path}")
    commands = {"build": _build, "verify": _verify, "show": _show}

    def command() -> None:
        if name not in commands:
            raise unknown_name("command", name, commands)
        commands[name]()

    run_app(command)


if __name__ == "__main__":
    main()
