"""Building soft labels: `build_table` against a plain PyTorch builder.

Regions a second through everything, from JPEG files to labels on disk, and how much of
the device's matrix products that is.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from ml_collections import ConfigDict

from benchmarks import torch_builder, torch_clip
from benchmarks.ceiling import matmul_ceiling
from benchmarks.flops import vision_flops
from benchmarks.pictures import write_pictures
from benchmarks.section import Section, Target, markdown_table
from benchmarks.sizes import cast, random_clip
from benchmarks.timing import Side, Timing, cores, in_turns
from fdbpl_jax.clip.model import Clip, logit_scale, text_features
from fdbpl_jax.config import RilConfig
from fdbpl_jax.data.types import Dataset, prompt_name
from fdbpl_jax.device import describe
from fdbpl_jax.ril.build import build_table, plan_spec
from fdbpl_jax.ril.regions import draw_regions
from fdbpl_jax.ril.spec import TableSpec

UTILISATION_TARGET = 0.5
OURS = "RIL table, labels"
OURS_FEATURES = "RIL table, labels and features"
THEIRS = "PyTorch, labels"
_CHAIN = 8  # products in a call that measures the ceiling


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Times whole builds, the images decoded, cut and labelled anew each time.

    Args:
      sizes: teacher and student (names in `benchmarks.sizes`), dtype (of our towers;
        PyTorch's run in float32 on a CPU, autocast to bfloat16 on a GPU), images,
        height and width of each, regions, classes, keep, batch_size, workers (0: one a
        core), repeats, ceiling_size (rows of the matrices that give the ceiling).
      log: takes lines on how far it is.
    """
    torch.set_num_threads(cores())
    teacher = random_clip(sizes.teacher, 0, sizes.dtype)
    student = random_clip(sizes.student, 1, sizes.dtype)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        size = (sizes.height, sizes.width)
        dataset = write_pictures(root, sizes.images, size, sizes.classes, seed=0)
        sides = [
            our_side(OURS, Path(folder), dataset, (teacher, None), sizes),
            our_side(OURS_FEATURES, Path(folder), dataset, (teacher, student), sizes),
            torch_side(Path(folder), dataset, teacher, sizes),
        ]
        timings = in_turns(sides, sizes.repeats, log)
    ceiling = matmul_ceiling(sizes.dtype, sizes.ceiling_size, _CHAIN)
    log(f"matrix products in {sizes.dtype}: {ceiling / 1e12:.2f} TFLOP/s")
    return _section(sizes, teacher, student, timings, ceiling)


def our_side(
    name: str,
    folder: Path,
    dataset: Dataset,
    pair: tuple[Clip, Clip | None],
    sizes: ConfigDict,
) -> Side:
    """A whole table, in a folder of its own each time."""
    spec = _spec(dataset, *pair, sizes)
    runs = itertools.count()

    def run() -> None:
        path = folder / f"{name} {next(runs)}"
        settings = (sizes.batch_size, sizes.workers or cores())
        build_table(path, spec, dataset.root, *pair, *settings)

    return Side(name, run)


def torch_side(
    folder: Path, dataset: Dataset, teacher: Clip, sizes: ConfigDict
) -> Side:
    """The same regions of the same images, by PyTorch."""
    spec = _spec(dataset, teacher, None, sizes)
    drawn = [
        draw_regions(spec.crop, spec.seed, image.hash, image.size, range(spec.regions))
        for image in spec.images
    ]
    regions = torch_builder.Regions(
        files=[dataset.root / image.path for image in spec.images],
        box=np.stack([box for box, _ in drawn]),
        flip=np.stack([flip for _, flip in drawn]),
    )
    size = teacher.image.size
    crops = torch_builder.crop_loader(regions, size, sizes.workers or cores())
    label = labeller(dataset, teacher, sizes)
    runs = itertools.count()

    def run() -> None:
        path = folder / f"{THEIRS} {next(runs)}"
        torch_builder.build(path, regions, crops, label)

    return Side(THEIRS, run)


def labeller(
    dataset: Dataset, teacher: Clip, sizes: ConfigDict
) -> torch_builder.Labeller:
    """PyTorch's labels by our teacher; the text features are given to it."""
    device = torch_clip.torch_device()
    params = cast(teacher.params, np.float32)
    model = torch_clip.load_model(teacher.config, params, device)
    texts = [dataset.template.format(prompt_name(n)) for n in dataset.class_names]
    text = np.array(text_features(teacher, texts), np.float32)
    return torch_builder.Labeller(
        encode=lambda pixels: torch_clip.encode_image(model, pixels),
        text=torch.from_numpy(text).to(device),
        scale=logit_scale(teacher),
        keep=sizes.keep,
        batch=sizes.batch_size,
        mean=teacher.image.mean,
        std=teacher.image.std,
    )


def _spec(
    dataset: Dataset, teacher: Clip, student: Clip | None, sizes: ConfigDict
) -> TableSpec:
    ril = RilConfig(keep=sizes.keep)
    return plan_spec(dataset, dataset.train, teacher, student, ril, sizes.regions)


def _section(
    sizes: ConfigDict,
    teacher: Clip,
    student: Clip,
    timings: list[Timing],
    ceiling: float,
) -> Section:
    flops = {
        c.name: vision_flops(c.config.vision, c.config.projection)
        for c in (teacher, student)
    }
    work = dict.fromkeys((OURS, THEIRS), flops[teacher.name])
    work[OURS_FEATURES] = sum(flops.values())
    regions = sizes.images * sizes.regions
    rate = {t.name: regions / t.median for t in timings}
    used = {name: rate[name] * work[name] / ceiling for name in rate}
    rows = [
        [
            t.name,
            f"{rate[t.name]:,.1f}",
            t.shown(1),
            f"{used[t.name]:.2f}",
            f"{rate[t.name] / rate[THEIRS]:.2f} ×",
        ]
        for t in timings
    ]
    header = ["side", "regions/s", "s a build: median (min – max)", "utilisation"]
    targets = []
    if jax.default_backend() == "gpu":
        best = max(used[OURS], used[OURS_FEATURES])
        what = "utilisation of matrix products while building"
        targets.append(Target(what, UTILISATION_TARGET, best))
    lines = [
        f"{sizes.images} JPEG images of {sizes.height} × {sizes.width} pixels, "
        f"{sizes.regions} regions each; teacher {sizes.teacher} "
        f"({flops[teacher.name] / 1e9:.1f} GFLOP a region), student {sizes.student} "
        f"({flops[student.name] / 1e9:.2f}); ours in {sizes.dtype} on {describe()}, "
        f"PyTorch on {torch_clip.describe(torch_clip.torch_device())}. Utilisation is "
        f"of {ceiling / 1e12:.2f} TFLOP/s, what {sizes.dtype} matrix products of "
        f"{sizes.ceiling_size} rows reach on the same device.",
        "",
        *markdown_table([*header, f"/ {THEIRS}"], rows),
    ]
    data: dict[str, Any] = {
        "timings": [t.to_json() for t in timings],
        "regions": regions,
        "flops_a_region": work,
        "ceiling": ceiling,
    }
    return Section("Building soft labels", lines, targets, data)
