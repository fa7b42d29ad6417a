"""Where a model is: a directory here, or a repository of the Hugging Face hub."""

import difflib
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from fdbpl_jax.clip.files import SETTINGS
from fdbpl_jax.clip.weights import choose_weights
from fdbpl_jax.errors import UserError

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(.+))?")
# Ids of well-known models, by the names that their authors give them.
_KNOWN = {
    "ViT-B/32": "openai/clip-vit-base-patch32",
    "ViT-B/16": "openai/clip-vit-base-patch16",
    "ViT-L/14": "openai/clip-vit-large-patch14",
    "ViT-L/14@336px": "openai/clip-vit-large-patch14-336",
    "ViT-L/14-336": "openai/clip-vit-large-patch14-336",
    "ViT-H/14": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "ViT-g/14": "laion/CLIP-ViT-g-14-laion2B-s12B-b42K",
}


def is_hub_id(source: str) -> bool:
    """Whether a text is a hub id or `id@revision`, which a path may be, too."""
    return _HUB_ID.fullmatch(source) is not None


def locate(source: str, only_hub: bool = False) -> Path:
    """Locate a model's directory, or fetch what is read of it from the hub.

    A source is a directory (unless `only_hub`), a hub id, or `id@revision`.

    Raises:
      UserError: neither has the model, or the hub cannot be reached.
      OSError: the path cannot be looked at.
    """
    path = Path(source).expanduser()
    if only_hub and is_hub_id(source):
        return _fetch_model(source)
    if source and path.is_dir():
        return path
    hub_id = _HUB_ID.fullmatch(source)
    known = _known_ids().get(_squash(source), source)
    if path.exists() or not hub_id or source != known:
        kind = "a file, not a directory" if path.is_file() else "not a directory"
        advice = _suggestion(path.stem if path.is_file() else source)
        raise UserError(
            f"the model '{source}' is {kind}",
            advice
            or "Give a directory with a complete model, or a Hugging Face id "
            "such as openai/clip-vit-base-patch32.",
        )
    return _fetch_model(source)


def _fetch_model(source: str) -> Path:
    return fetch("model", source, SETTINGS, functools.partial(choose_weights, source))


def fetch(
    kind: str,
    source: str,
    files: Sequence[str],
    choose: Callable[[list[str]], list[str]],
) -> Path:
    """Fetch files of a repository of the hub; the folder that holds them.

    Args:
      kind: what it is said to hold, "model" or "classifier".
      source: a hub id, or `id@revision`.
      files: those that are fetched where they are there, or patterns of them.
      choose: more of them, of the names of all.

    Raises:
      UserError: the hub has no such repository or cannot be reached, or of `choose`.
    """
    match = _HUB_ID.fullmatch(source)
    assert match is not None  # see `is_hub_id`
    repo, revision = match.groups()
    wanted = [*files]

    def download(local: bool) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=wanted, local_files_only=local
            )
        )

    try:
        listed = huggingface_hub.model_info(repo, revision=revision).siblings or []
        wanted += choose([file.rfilename for file in listed])
        return download(local=False)
    except UserError:
        raise
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"the {kind} '{repo}' has no revision '{revision}' on the Hugging Face hub",
            "Give a branch, a tag, a commit or refs/pr/N after the @.",
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"neither this machine nor the Hugging Face hub has a {kind} '{source}' "
            "that you may read",
            f"{_suggestion(repo)}Check the name, log in with `hf auth login` if it is "
            f"gated, or give the path of a directory with a complete {kind}.",
        ) from error
    except Exception as error:  # depends on the network library of huggingface_hub
        try:
            return download(local=True)  # an earlier run may have fetched all of it
        except Exception:
            raise _unreachable(kind, source, error) from error


def _unreachable(kind: str, source: str, error: Exception) -> UserError:
    repo, _, revision = source.partition("@")
    reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    at = f" --revision {revision}" if revision else ""
    return UserError(
        f"the {kind} '{source}' is not a directory here, and cannot be fetched from "
        f"the Hugging Face hub ({reason})",
        f"{_suggestion(repo)}On a machine with network run `hf download {repo}{at}`, "
        "copy the folder it prints here, and give its path instead of the id.",
    )


def _suggestion(source: str) -> str:
    """A sentence with the id that may be meant; "" if none comes to mind."""
    name = _squash(source)
    if re.match("rn(50|101)", name):
        return "CLIPs with ResNet towers are not implemented. "
    ids = _known_ids()
    near = difflib.get_close_matches(name, ids, n=1, cutoff=0.85)
    meant = ids[near[0]] if near else source
    return f"Did you mean {meant}? " if meant != source else ""


def _known_ids() -> dict[str, str]:
    names = {**_KNOWN, **{known: known for known in _KNOWN.values()}}
    return {_squash(name): known for name, known in names.items()}


def _squash(name: str) -> str:
    """A model's name without punctuation, case, and what all of them begin with."""
    return re.sub(r"^(openai)?(clip)?", "", re.sub(r"[\W_]", "", name.lower()))
