"""Settings files of a CLIP in Hugging Face layout: read, hashed, written."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from fdbpl_jax.clip.tokenizer import TOKENIZER_FILES
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_folder

_PREPROCESSOR = "preprocessor_config.json"
_PROCESSOR = "processor_config.json"
SETTINGS = ("config.json", _PREPROCESSOR, _PROCESSOR, *TOKENIZER_FILES)
AGAIN = "Get the model's files again."
_POINTER = b"version https://git-lfs.github.com/spec/"


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; UserError if it is missing or holds none."""
    if not path.is_file():  # a folder, or a pipe that would never end
        what = f"'{path.parent}' has no file {path.name}"
        raise UserError(what, "Give the directory of a complete model.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"'{path}' is not JSON: {error}", AGAIN) from error
    if not isinstance(value, dict):
        raise UserError(f"'{path}' holds no JSON object", AGAIN)
    return value


def read_preprocessor(directory: Path) -> dict[str, Any]:
    """Read a model's image settings, from either file that holds them; {} without."""
    if (directory / _PREPROCESSOR).is_file():
        return read_json(directory / _PREPROCESSOR)
    if (directory / _PROCESSOR).is_file():
        settings = read_json(directory / _PROCESSOR).get("image_processor", {})
        if not isinstance(settings, dict):
            what = f"image_processor in '{directory / _PROCESSOR}' is no JSON object"
            raise UserError(what, AGAIN)
        return settings
    return {}


def settings_files(directory: Path) -> list[Path]:
    """List the files of a model, beside its weights, that are read."""
    paths = (directory / name for name in SETTINGS)
    return [path for path in paths if path.is_file()]


def refuse_pointers(paths: list[Path]) -> None:
    """Refuse what Git LFS leaves in the place of a file that it has not fetched."""
    for path in paths:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise UserError(
                    f"'{path}' is a Git LFS pointer, not the file itself",
                    f"Run `git lfs pull` in '{path.parent}'.",
                )


def fingerprint(directory: Path, weights: list[Path]) -> str:
    """Hash all that a model's features depend on: sha256 in hexadecimal.

    That is the names and bytes of its configuration, weights, tokenizer and image
    settings; the name of the directory and its other files do not matter.
    """
    digest = hashlib.sha256()
    for path in sorted([*settings_files(directory), *weights]):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()


def write_model(
    directory: Path,
    jsons: dict[str, dict[str, Any]],
    tensors: dict[str, np.ndarray],
    tokenizer: Path,
) -> None:
    """Write a model's directory atomically; UserError if it holds something already.

    `jsons` are by file name; the tokenizer files in folder `tokenizer` are copied.
    """

    def refuse_filled() -> bool:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            what = f"'{directory}' exists already"
            raise UserError(what, "Choose another, or remove it.")
        return False

    def write(folder: Path) -> None:
        for name, content in jsons.items():
            (folder / name).write_text(json.dumps(content, indent=2) + "\n")
        path = folder / "model.safetensors"
        safetensors.numpy.save_file(tensors, path, {"format": "pt"})
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, folder / name)

    refuse_filled()
    write_folder(directory, write, refuse_filled)
