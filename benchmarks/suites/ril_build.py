"""Building soft labels: `build_table` compared with a plain PyTorch builder.

Regions per second from JPEG files to labels on disk, and the utilisation relative to
the device's rate of matrix products.
"""

import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

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
from fdbpl_jax.ril.blocks import BuildSettings
from fdbpl_jax.ril.build import build_table, plan_spec
from fdbpl_jax.ril.regions import draw_regions
from fdbpl_jax.ril.spec import TableSpec

UTILISATION_TARGET = 0.5
OURS = "RIL table, labels"
OURS_FEATURES = "RIL table, labels and features"
THEIRS = "PyTorch, labels"


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Time complete builds; each decodes, cuts and labels all images.

    Args:
      sizes: teacher and student (names in `benchmarks.sizes`), dtype (of our towers;
        PyTorch's run in float32 on a CPU, autocast to bfloat16 on a GPU), images,
        height and width of each, regions, classes, keep, batch_size, workers (0: one
        per core), repeats, ceiling_size (rows of the matrices that give the ceiling).
      log: takes lines on how far it is.
    """
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
        before = ceilings(sizes)
        timings = in_turns(sides, sizes.repeats, log)
        ceiling = {name: max(before[name], c) for name, c in ceilings(sizes).items()}
    return _section(sizes, (teacher, student), timings, ceiling)


def ceilings(sizes: ConfigDict) -> dict[str, float]:
    """Measure matrix products on both sides, in operations per second."""
    device = torch_clip.torch_device()
    theirs = torch.bfloat16 if device.type == "cuda" else torch.float32
    return {
        OURS: matmul_ceiling(sizes.dtype, sizes.ceiling_size),
        THEIRS: torch_clip.matmul_ceiling(device, theirs, sizes.ceiling_size),
    }


def our_side(
    name: str,
    folder: Path,
    dataset: Dataset,
    pair: tuple[Clip, Clip | None],
    sizes: ConfigDict,
) -> Side:
    """Return our build of a complete table, in a new folder each time."""
    spec = _spec(dataset, *pair, sizes)
    runs = itertools.count()

    def run() -> None:
        path = folder / f"{name} {next(runs)}"
        settings = BuildSettings(sizes.workers or cores())
        build_table(path, spec, dataset.root, *pair, settings=settings)

    return Side(name, run)


def torch_side(
    folder: Path, dataset: Dataset, teacher: Clip, sizes: ConfigDict
) -> Side:
    """Return PyTorch's build of the same regions of the same images."""
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
    blank = torch.zeros(sizes.batch_size, 3, size, size, dtype=torch.uint8)
    torch_clip.choose_threads(lambda: label(blank))
    runs = itertools.count()

    def run() -> None:
        path = folder / f"{THEIRS} {next(runs)}"
        torch_builder.build(path, regions, crops, label)

    return Side(THEIRS, run)


def labeller(
    dataset: Dataset, teacher: Clip, sizes: ConfigDict
) -> torch_builder.Labeller:
    """Return PyTorch's labeller with the weights of our teacher.

    It gets the text features; our builds encode the class prompts each time.
    """
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
    return plan_spec(dataset, teacher, student, ril, sizes.regions)


def _section(
    sizes: ConfigDict,
    pair: tuple[Clip, Clip],
    timings: list[Timing],
    ceiling: dict[str, float],
) -> Section:
    flops = [vision_flops(c.config.vision, c.config.projection) for c in pair]
    work = {OURS: flops[0], OURS_FEATURES: sum(flops), THEIRS: flops[0]}
    regions = sizes.images * sizes.regions
    rate = {t.name: regions / t.median for t in timings}
    used = {name: rate[name] * work[name] / ceiling[OURS] for name in rate}
    targets = []
    if jax.default_backend() == "gpu":
        best = max(used[OURS], used[OURS_FEATURES])
        what = "utilisation of matrix products while building"
        targets.append(Target(what, UTILISATION_TARGET, best))
    lines = [*_head(sizes, flops, ceiling), "", *_table(timings, rate, used)]
    data = {
        "timings": [t.to_json() for t in timings],
        "regions": regions,
        "flops_a_region": work,
        "ceiling": ceiling,
        "utilisation": used,
    }
    return Section("Building soft labels", lines, targets, data)


def _head(
    sizes: ConfigDict, flops: Sequence[int], ceiling: dict[str, float]
) -> list[str]:
    device = torch_clip.torch_device()
    teacher, student = (f"{count / 1e9:.2f} GFLOP" for count in flops)
    ours, theirs = (f"{ceiling[side] / 1e12:.2f}" for side in (OURS, THEIRS))
    return [
        f"{sizes.images} JPEG images of {sizes.height} × {sizes.width} pixels, "
        f"{sizes.regions} regions each; teacher {sizes.teacher} ({teacher} a region), "
        f"student {sizes.student} ({student}); {sizes.workers or cores()} workers. "
        f"Ours in {sizes.dtype} on {describe()}, PyTorch on "
        f"{torch_clip.describe(device)}. Utilisation is of the {ours} TFLOP/s that "
        f"large matrix products in {sizes.dtype} reach in JAX on the same device; in "
        f"PyTorch they reach {theirs}.",
    ]


def _table(
    timings: Sequence[Timing], rate: dict[str, float], used: dict[str, float]
) -> list[str]:
    header = ["side", "regions/s", "s a build: median (min – max)", "utilisation"]
    rows = []
    for t in timings:
        factor = f"{rate[t.name] / rate[THEIRS]:.2f} ×"
        share = f"{used[t.name]:.2f}"
        rows.append([t.name, f"{rate[t.name]:,.1f}", t.shown(1), share, factor])
    return markdown_table([*header, f"/ {THEIRS}"], rows)
