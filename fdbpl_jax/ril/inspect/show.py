"""A table as text: its spec, sizes, labels and some rows."""

from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.ril import manifest
from fdbpl_jax.ril.inspect.measure import disk_bytes
from fdbpl_jax.ril.inspect.sample import BINS, Regions, agreement, sample_regions
from fdbpl_jax.ril.table import Table, open_table, region_bytes

_BAR = 40  # characters
_EXAMPLES = 5


def describe(path: str | Path) -> str:
    """Describe a table in several lines; UserError if it is unfinished or damaged."""
    table = open_table(path, "")
    regions = sample_regions(table)
    parts = [_spec(table), _sizes(table), _weights(regions.weight)]
    parts += [_agreement(table, regions), _rows(table, regions)]
    return "\n\n".join(filter(None, parts))


def _spec(table: Table) -> str:
    spec, crop = table.spec, table.spec.crop
    low, high = crop.ratio
    classes, first = len(spec.class_names), ", ".join(spec.class_names[:5])
    lines = [
        f"RIL table   {table.path}",
        f"data set    {spec.dataset}: {len(spec.images)} images, {classes} classes "
        f"({first}, …)",
        f"regions     {spec.regions} per image; scale {crop.scale}, ratio "
        f"({low:.3g}, {high:.3g}), flip {crop.flip}, seed {spec.seed}",
        f"labels      {spec.keep} kept of {classes}",
        f"teacher     {spec.teacher[:16]}…, '{spec.template}', logit scale "
        f"{spec.temperature:.4g}",
        f"made        in {spec.dtype}, regions cut on the {spec.cut}{_spent(table)}",
    ]
    for student in manifest.students(table.folder):
        features = manifest.read_features(table.folder, student)
        width = features.feature_width if features else 0
        lines.append(f"features    of student {student[:16]}…, {width} wide")
    return "\n".join(lines)


def _spent(table: Table) -> str:
    regions = len(table.spec.images) * table.spec.regions
    if not table.seconds:
        return ""
    rate = regions / table.seconds
    return f", in {table.seconds:.1f} s, {rate:.0f} regions per second"


def _sizes(table: Table) -> str:
    sizes = disk_bytes(table)
    if not sizes:
        return f"{region_bytes(table.spec)} bytes per region before compression"
    regions = len(table.spec.images) * table.spec.regions
    lines = ["array                 on disk   bytes per region"]
    for name, size in (sizes | {"all": sum(sizes.values())}).items():
        lines.append(f"{name[:18]:<18} {size / 1e6:7.2f} MB   {size / regions:9.1f}")
    return "\n".join(lines)


def _weights(weight: Float[np.ndarray, "n m"]) -> str:
    counts, edges = np.histogram(weight, BINS, (0, 1))
    lines = [f"information weight w of {weight.size} regions, mean {weight.mean():.3f}"]
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        bar = "█" * round(_BAR * count / max(counts))
        lines.append(f"{low:.1f}–{high:.1f} {count / weight.size:6.1%} {bar}")
    return "\n".join(lines)


def _agreement(table: Table, regions: Regions) -> str:
    """Share of regions where the teacher's first label is the name of the folder."""
    spec = table.spec
    words = {prompt_name(name).casefold(): c for c, name in enumerate(spec.class_names)}
    folders = [prompt_name(PurePosixPath(i.path).parent.name) for i in spec.images]
    label = np.array([words.get(folder.casefold(), -1) for folder in folders])
    known = label >= 0
    if not known.any():
        return ""
    agree, _ = agreement(regions.label_index[..., 0], label, regions.weight)
    return (
        f"teacher's first label is the image's folder in {agree:.1%} of regions "
        f"({known.sum()} of {known.size} images lie in a folder named as a class)"
    )


def _rows(table: Table, regions: Regions) -> str:
    lines = ["example regions (top, left, height, width; kept labels)"]
    images = len(table.spec.images)
    for row in np.linspace(0, images - 1, min(_EXAMPLES, images)).astype(int):
        box = ", ".join(str(value) for value in regions.box[row, 0])
        mirrored = " mirrored" if regions.flip[row, 0] else ""
        index, prob = regions.label_index[row, 0], regions.label_prob[row, 0]
        labels = ", ".join(
            f"{table.spec.class_names[label]} {float(share):.2f}"
            for label, share in zip(index[:3], prob[:3], strict=True)
        )
        lines.append(
            f"{table.spec.images[row].path} ({box}){mirrored}: {labels}; "
            f"w {regions.weight[row, 0]:.2f}"
        )
    return "\n".join(lines)
