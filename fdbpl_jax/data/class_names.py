"""Names of classes: lists of them, what CLIP reads, from annotations to the field's.

CoOp's split files hold the finished names already; lists that others made from the
original annotations often hold the raw ones. Every rule leaves a finished name
unchanged, so that both read the same.
"""

import html
import re
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import ftfy
from absl import logging

from fdbpl_jax.data.types import first_few, prompt_name
from fdbpl_jax.errors import UserError, printable
from fdbpl_jax.files import read_lines

_CALTECH101 = {
    "airplanes": "airplane",
    "Faces": "face",
    "Leopards": "leopard",
    "Motorbikes": "motorbike",
}
_EUROSAT = {
    "AnnualCrop": "Annual Crop Land",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "SeaLake": "Sea or Lake",
}
# ImageNet has both names twice; the field leaves these two pairs as they are.
_TWICE = ("missile", "sunglasses")
_NUMBER = re.compile(r"n\d{8}|\d+")  # or a WordNet id


def as_read(text: str) -> str:
    """The text that CLIP's tokenizer cuts into tokens, as its authors wrote it.

    Broken letters are mended and composed, HTML entities resolved (twice), blanks made
    one, and capitals small.
    """
    mended = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(mended.split()).lower()


def check_class_names(where: object, names: Sequence[str]) -> None:
    """Refuse names that hold control characters, or that CLIP reads alike.

    `where` they are from, for messages.

    Raises:
      UserError: naming the first of them.
    """
    for name in names:
        if name != printable(name):
            raise UserError(
                f"class name '{name}' in '{where}' holds a control character, a line "
                "break, or bytes that are not UTF-8",
                "Rename the class.",
            )
    refuse_same(where, names, lambda name: as_read(prompt_name(name)))


def refuse_same(
    where: object, names: Sequence[str], read: Callable[[str], Hashable]
) -> None:
    """Refuse names of which the same is read, naming the first two.

    Raises:
      UserError: two names cannot be told apart.
    """
    first: dict[Hashable, str] = {}
    allowed = list(_TWICE)
    for name in names:
        reading = read(name)
        if reading not in first:
            first[reading] = name
        elif name == first[reading] and name in allowed:
            allowed.remove(name)
        else:
            what = f"'{where}' has '{name}' twice"
            if name != first[reading]:
                pair = f"classes '{first[reading]}' and '{name}'"
                what = f"{pair} in '{where}' read the same in a prompt"
            raise UserError(f"{what}: they are one to CLIP", "Rename or merge them.")


def warn_of_numbers(where: object, names: Sequence[str]) -> None:
    """Log a warning if names are numbers or WordNet ids."""
    if numbers := [name for name in names if _NUMBER.fullmatch(name)]:
        logging.warning(
            "'%s': the names of %d classes are numbers or WordNet ids, and CLIP reads "
            "them as words: %s",
            *(where, len(numbers), first_few(numbers)),
        )


def read_names(file: Path) -> tuple[str, ...]:
    """Read the names in a text file, one per line, in order, without blank lines.

    Raises:
      UserError: it cannot be read, has fewer than two, or is refused by
        `check_class_names`.
    """
    lines = read_lines(file, "Give a text file in UTF-8.")
    names = tuple(name for _, name in lines)
    if len(names) < 2:
        raise UserError(f"'{file}' has fewer than two names", "Give one per line.")
    check_class_names(file, names)
    warn_of_numbers(file, names)
    return names


def unchanged(name: str) -> str:
    """The name."""
    return name


def caltech101(name: str) -> str:
    """`airplanes` is an `airplane`; three others are put right likewise."""
    return _CALTECH101.get(name, name)


def eurosat(name: str) -> str:
    """`AnnualCrop` is `Annual Crop Land`; seven others are spelled out likewise."""
    return _EUROSAT.get(name, name)


def oxford_pets(name: str) -> str:
    """The breed in lower case."""
    return name.lower()


def stanford_cars(name: str) -> str:
    """`Audi TTS Coupe 2012` is `2012 Audi TTS Coupe`."""
    return re.sub(r"^(.*\S)\s+(\d{4})$", r"\2 \1", name)


def sun397(name: str) -> str:
    """`/s/shopping_mall/indoor` is `indoor shopping_mall`: the folders, last first."""
    if not name.startswith("/"):
        return name
    _, _, *folders = name.split("/")  # the first folder is the initial letter
    return " ".join(reversed(folders))


def ucf101(name: str) -> str:
    """`ApplyEyeMakeup` is `Apply_Eye_Makeup`."""
    return name if "_" in name else "_".join(re.findall(r"[A-Z][^A-Z]*", name)) or name
