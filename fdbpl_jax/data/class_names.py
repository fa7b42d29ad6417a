"""Names of classes: lists of them, and from the original annotations to the field's.

CoOp's split files hold the finished names already; lists that others made from the
original annotations often hold the raw ones. Every rule leaves a finished name
unchanged, so that both read the same.
"""

import re
from collections import Counter
from pathlib import Path

from fdbpl_jax.errors import UserError
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


def read_names(file: Path) -> tuple[str, ...]:
    """Read the names in a text file, one per line, in order, without blank lines.

    Raises:
      UserError: it cannot be read, has a name twice, or fewer than two.
    """
    names = [name for _, name in read_lines(file, "Give a text file in UTF-8.")]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or len(names) < 2:
        what = f"has '{twice[0]}' twice" if twice else "has fewer than two names"
        raise UserError(f"'{file}' {what}", "Give every name once, one per line.")
    return tuple(names)


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
