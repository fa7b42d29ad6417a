"""Pictures of finished cells: grids of images, with the list of what they show."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from PIL import Image, ImageDraw, ImageFont

_GAP, _LINE, _HEAD = 14, 19, 34  # pixels: between tiles, of a text, of a band's title


class Drawing(msgspec.Struct, frozen=True):
    """A picture, and the list of what it shows."""

    picture: bytes  # PNG
    titles: tuple[str, ...]  # of the columns of the list
    rows: Sequence[tuple[str | float, ...]]


class Tile(NamedTuple):
    """An image with texts under it."""

    image: Image.Image
    texts: Sequence[tuple[str, str]]  # each with its colour


Band = tuple[str, Sequence[Tile]]  # a title, and under it rows of tiles


def drawing(
    picture: Image.Image,
    titles: tuple[str, ...],
    rows: Sequence[tuple[str | float, ...]],
) -> Drawing:
    """Encode a picture."""
    png = io.BytesIO()
    picture.save(png, format="png")
    return Drawing(png.getvalue(), titles, rows)


def listed(path: str) -> str:
    """Return the path as a list has it, for a file name need not be Unicode."""
    return path.encode(errors="replace").decode()


def grid(bands: Sequence[Band], columns: int, side: int) -> Image.Image:
    """Draw the bands one under the other, tiles of `side` pixels in `columns`."""
    texts = max((len(tile.texts) for _, tiles in bands for tile in tiles), default=0)
    height = side + texts * _LINE + _GAP
    rows = [-(-len(tiles) // columns) for _, tiles in bands]
    size = columns * (side + _GAP) + _GAP, len(bands) * _HEAD + sum(rows) * height
    sheet = Image.new("RGB", size, "white")
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(size=17), 0
    for (title, tiles), band_rows in zip(bands, rows, strict=True):
        draw.text((_GAP, top + 8), title, "black", font)
        top += _HEAD
        for number, tile in enumerate(tiles):
            row, place = divmod(number, columns)
            corner = _GAP + place * (side + _GAP), top + row * height
            _draw_tile(sheet, tile, corner, side)
        top += band_rows * height
    return sheet


def _draw_tile(
    sheet: Image.Image, tile: Tile, corner: tuple[int, int], side: int
) -> None:
    left, top = corner
    image = tile.image.resize((side, side), Image.Resampling.BICUBIC)
    sheet.paste(image, corner)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for number, (text, colour) in enumerate(tile.texts):
        while font.getlength(text) > side:  # cut where the tile ends
            text = text.rstrip("…")[:-1] + "…"
        draw.text((left, top + side + 2 + number * _LINE), text, colour, font)
