"""A table as a picture: an image with its regions, and what the teacher says of them.

Above, one image with some of its regions, the histogram of w, and how often teacher and
label agree; below, the most and the least informative regions, as they are cut.
"""

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, withStroke

from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import unknown_name
from fdbpl_jax.ril.crops import decode_unchanged
from fdbpl_jax.ril.inspect import sample
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.ril.table import Table

SIZE = (1200, 1240)  # pixels, width first
_DPI = 100
_HEIGHTS = (5.0, 3.7, 3.7)  # of the three parts
_BOXES = 12
_TILES = 5  # a row
_COLOURS = colormaps["viridis"]  # of w, from 0 to 1
_RIGHT, _OTHER = "#8fd19e", "#d5dde8"  # bars of the image's class, and of others
_GREY = "#666666"


def draw_table(table: Table, dataset: Dataset, path: str) -> Figure:
    """Draw a table and the data set that it was made from, in a figure of `SIZE`.

    `path` is of the image that is shown with its regions; empty: of the one whose
    regions differ most in w.

    Raises:
      UserError: there is no such image in the table; or one that is to be drawn cannot
        be read, or is not the file that the table was made from.
    """
    spec, regions = table.spec, sample.sample_regions(table)
    row = _row(spec, path) if path else sample.most_spread(regions.weight)
    label = sample.true_labels(dataset, spec.images, spec.class_names)
    figure = Figure((SIZE[0] / _DPI, SIZE[1] / _DPI), dpi=_DPI, facecolor="white")
    top, *parts = figure.subfigures(3, 1, squeeze=False, height_ratios=_HEIGHTS)[:, 0]
    with mpl.rc_context({"text.parse_math": False}):  # names may hold dollar signs
        _draw_head(top, spec)
        grid = top.add_gridspec(
            2, 2, left=0.03, right=0.97, top=0.8, bottom=0.1, wspace=0.34, hspace=0.24,
            width_ratios=(0.75, 1),
        )  # fmt: skip
        _draw_image(top.add_subplot(grid[:, 0]), table, dataset.root, row)
        _draw_weights(top.add_subplot(grid[0, 1]), regions.weight)
        share = sample.agreement(regions.label_index[..., 0], label, regions.weight)
        _draw_agreement(top.add_subplot(grid[1, 1]), *share)
        extremes = sample.extremes(regions.weight, _TILES)
        for part, name, places in zip(parts, ("most", "least"), extremes, strict=True):
            tile_of = partial(sample.cut_tile, spec, dataset.root, regions, label)
            title = f"The {name} informative regions"
            _draw_tiles(part, title, list(map(tile_of, places)))
    return figure


def _row(spec: TableSpec, path: str) -> int:
    paths = [image.path for image in spec.images]
    if path not in paths:
        raise unknown_name("image of the table", path, paths)
    return paths.index(path)


def _draw_head(part: SubFigure, spec: TableSpec) -> None:
    size = f"{len(spec.images):,} images, {spec.regions:,} regions per image"
    title = f"RIL table of {spec.dataset}: {size}"
    part.text(0.03, 0.94, title, size=15, weight="bold")
    classes = f"{len(spec.class_names):,} classes, the teacher's prompt"
    text = _start(f"{classes}: “{spec.template}”", 140)
    part.text(0.03, 0.895, text, size=10, color=_GREY)


def _draw_image(axes: Axes, table: Table, root: Path, row: int) -> None:
    """An image with some of its regions as boxes, the largest at the bottom."""
    record = table.spec.images[row]
    regions = sample.read_regions(table, np.array([row]), np.arange(table.spec.regions))
    slots = sample.across(regions.weight[0], _BOXES)
    axes.imshow(decode_unchanged(root, record))
    area = regions.box[0, slots, 2].astype(int) * regions.box[0, slots, 3]
    for slot in slots[np.argsort(-area)]:
        top, left, height, width = regions.box[0, slot].astype(float)
        # Pixel 0 reaches from -0.5 to 0.5.
        box = Rectangle((left - 0.5, top - 0.5), width, height, fill=False, lw=2)
        box.set_edgecolor(_COLOURS(regions.weight[0, slot]))
        box.set_path_effects([withStroke(linewidth=3.6, foreground="black"), Normal()])
        axes.add_patch(box)
    axes.set(xticks=[], yticks=[], anchor="NW")
    title = f"{_tail(record.path, 44)}: {len(slots)} of its regions"
    axes.set_title(title, size=10, loc="left")
    scale = axes.inset_axes((1.03, 0, 0.035, 1))
    axes.figure.colorbar(ScalarMappable(cmap=_COLOURS), cax=scale, label="w")


def _draw_weights(axes: Axes, weight: Float[np.ndarray, "n m"]) -> None:
    counts, _ = np.histogram(weight, sample.BINS, (0, 1))
    _draw_bars(axes, counts / weight.size)
    title = f"information weight w of {weight.size:,} regions, mean {weight.mean():.3f}"
    axes.set_title(title, size=10, loc="left")
    axes.set_ylabel("share of regions")
    axes.tick_params(labelbottom=False)


def _draw_agreement(
    axes: Axes, overall: float, by_weight: Float[np.ndarray, " bins"]
) -> None:
    _draw_bars(axes, by_weight)
    known = not np.isnan(overall)
    share = f"in {overall:.1%} of regions" if known else "(no class is known)"
    title = f"the teacher's first label is the image's class {share}"
    axes.set_title(title, size=10, loc="left")
    if known:
        axes.axhline(overall, color="black", lw=1, ls="--")
    axes.set(ylim=(0, 1.08), xlabel="w", ylabel="share that agree")


def _draw_bars(axes: Axes, share: Float[np.ndarray, " bins"]) -> None:
    """A bar per bin of w, in the colour of its middle, with its value above."""
    middle = (np.arange(len(share)) + 0.5) / len(share)
    width, colours = 0.92 / len(share), _COLOURS(middle)
    bars = axes.bar(middle, np.nan_to_num(share), width, color=colours)
    texts = ["–" if np.isnan(value) else f"{value:.0%}" for value in share]
    halo = [withStroke(linewidth=2, foreground="white")]
    axes.bar_label(bars, texts, padding=2, size=8, color=_GREY, path_effects=halo)
    axes.set(xlim=(0, 1), xticks=np.linspace(0, 1, 6))
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_tiles(part: SubFigure, title: str, tiles: Sequence[sample.Tile]) -> None:
    part.text(0.03, 0.955, title, size=12, weight="bold")
    note = "at most one region per image; in green the image's class"
    part.text(0.97, 0.955, note, size=9, color=_GREY, ha="right")
    axes = part.subplots(
        2, _TILES, squeeze=False,
        gridspec_kw={
            "left": 0.03, "right": 0.97, "top": 0.83, "bottom": 0.03,
            "height_ratios": (2, 1), "wspace": 0.12, "hspace": 0.14,
        },
    )  # fmt: skip
    for place in axes.flat:
        place.set_axis_off()
    for tile, (above, below) in zip(tiles, axes.T, strict=False):
        _draw_tile(above, tile)
        _draw_labels(below, tile)


def _draw_tile(axes: Axes, tile: sample.Tile) -> None:
    axes.imshow(tile.pixels)
    name = _start(tile.truth or "class not known", 31)
    mirrored = ", mirrored" if tile.flip else ""
    axes.set_title(f"{name}\nw {tile.weight:.3f}{mirrored}", size=8.5)
    axes.text(
        0.5, -0.03, _tail(tile.path, 36), size=7, color=_GREY, ha="center", va="top",
        transform=axes.transAxes,
    )  # fmt: skip


def _draw_labels(axes: Axes, tile: sample.Tile) -> None:
    """A bar per label, as long as its probability, with its name on it."""
    for place, (name, prob) in enumerate(tile.labels):
        axes.barh(place, 1, 0.86, color="#f4f6f9")
        true = name == tile.truth
        axes.barh(place, prob, 0.86, color=_RIGHT if true else _OTHER)
        axes.text(
            0.02, place, "\n".join(_lines(name)), size=8, va="center",
            color="darkgreen" if true else "black",
        )  # fmt: skip
        axes.text(0.98, place, f"{prob:.2f}", size=8, va="center", ha="right")
    axes.set(xlim=(0, 1), ylim=(2.5, -0.5))


def _lines(name: str) -> list[str]:
    """A name in two lines at most; what does not fit ends in an ellipsis."""
    first, *rest = textwrap.wrap(name, 24) or [""]
    return [first, _start(" ".join(rest), 24)] if rest else [first]


def _start(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _tail(path: str, length: int) -> str:
    # A file name need not be Unicode, and what is not cannot be drawn.
    path = path.encode(errors="replace").decode()
    return path if len(path) <= length else f"…{path[1 - length :]}"
