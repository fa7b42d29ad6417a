"""Files of a CLIP in Hugging Face layout: located, read, hashed, written."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import safetensors
import safetensors.numpy
from huggingface_hub import errors

from fdbpl_jax.clip.tokenizer import TOKENIZER_FILES
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_folder

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PREPROCESSOR = "preprocessor_config.json"
_PROCESSOR = "processor_config.json"
_SETTINGS = ("config.json", _PREPROCESSOR, _PROCESSOR, *TOKENIZER_FILES)
_AGAIN = "Get the model's files again."
_CONVERT = (
    "Pickled weights are never loaded. Where PyTorch is installed, run "
    '`python -c "from transformers import CLIPModel; '
    "CLIPModel.from_pretrained('{source}').save_pretrained('DIR')\"`, copy the model's "
    "tokenizer files and preprocessor_config.json to DIR, and point at DIR."
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def locate(source: str) -> Path:
    """Locate a model's directory, or fetch it from the Hugging Face hub.

    Raises:
      UserError: neither has it, or the hub cannot be reached.
    """
    path = Path(os.path.expanduser(source))
    if source and path.is_dir():
        return path
    if path.exists() or not _HUB_ID.fullmatch(source):
        raise UserError(
            f"the model '{source}' is not a directory",
            "Give a directory with config.json and model.safetensors, or a Hugging "
            "Face id such as openai/clip-vit-base-patch16.",
        )
    patterns = [_WEIGHTS, _INDEX, "model-*-of-*.safetensors", *_SETTINGS]
    try:
        return Path(huggingface_hub.snapshot_download(source, allow_patterns=patterns))
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"neither this machine nor the Hugging Face hub has a model '{source}' "
            "that you may read",
            "Check the name, log in with `hf auth login` if it is gated, or give the "
            "path of a directory with config.json and model.safetensors.",
        ) from error
    except OSError as error:
        raise UserError(
            f"the model '{source}' is not a directory here, and the Hugging Face hub "
            f"cannot be reached ({type(error).__name__})",
            f"On a machine with network run `hf download {source}`, copy the folder "
            "it prints here, and give its path instead of the id.",
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; UserError if it is missing or holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = f"'{path.parent}' has no {path.name}"
        raise UserError(what, "Give the directory of a complete model.") from error
    except ValueError as error:
        raise UserError(f"'{path}' is not JSON: {error}", _AGAIN) from error
    if not isinstance(value, dict):
        raise UserError(f"'{path}' holds no JSON object", _AGAIN)
    return value


def read_preprocessor(directory: Path) -> dict[str, Any]:
    """Read a model's image settings, from either file that holds them; {} without."""
    if (directory / _PREPROCESSOR).is_file():
        return read_json(directory / _PREPROCESSOR)
    if (directory / _PROCESSOR).is_file():
        return read_json(directory / _PROCESSOR).get("image_processor", {})
    return {}


def weight_files(directory: Path) -> list[Path]:
    """List the safetensors of a model: one, or the shards that its index names."""
    if (directory / _WEIGHTS).is_file():
        return [directory / _WEIGHTS]
    if (directory / _INDEX).is_file():
        shards = read_json(directory / _INDEX).get("weight_map", {}).values()
        names = sorted(set(shards))
        missing = [name for name in names if not (directory / name).is_file()]
        if missing or not names:
            raise UserError(
                f"'{directory}' lacks the weight shards {', '.join(missing) or 'all'} "
                f"that {_INDEX} names",
                _AGAIN,
            )
        return [directory / name for name in names]
    what = f"'{directory}' has no {_WEIGHTS}"
    if pickled := next(directory.glob("pytorch_model*.bin"), None):
        convert = _CONVERT.format(source=directory)
        raise UserError(f"{what}, only {pickled.name}", convert)
    raise UserError(what, "Give the directory of a complete model.")


def read_tensors(files: list[Path]) -> dict[str, np.ndarray]:
    """Read all tensors of some safetensors files by name, dtypes as stored."""
    tensors: dict[str, np.ndarray] = {}
    for path in files:
        try:
            part = safetensors.numpy.load_file(path)
        except (safetensors.SafetensorError, TypeError, KeyError) as error:
            what = f"'{path}' is not a readable safetensors file: {error}"
            raise UserError(what, _AGAIN) from error
        twice = sorted(tensors.keys() & part.keys())
        if twice:
            what = f"'{path}' holds {twice[0]}, which another shard holds too"
            raise UserError(what, _AGAIN)
        tensors |= part
    return tensors


def fingerprint(directory: Path, weights: list[Path]) -> str:
    """Hash all that a model's features depend on: sha256 in hexadecimal.

    That is the names and bytes of its configuration, weights, tokenizer and image
    settings; the name of the directory and its other files do not matter.
    """
    files = [directory / name for name in _SETTINGS if (directory / name).is_file()]
    digest = hashlib.sha256()
    for path in sorted([*files, *weights]):
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
        safetensors.numpy.save_file(tensors, folder / _WEIGHTS, {"format": "pt"})
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, folder / name)

    refuse_filled()
    write_folder(directory, write, refuse_filled)
