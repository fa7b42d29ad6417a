"""Files of image features, named by what they were computed from."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_bytes

_FORMAT = "fdbpl_jax image features 2"  # 2: cut as torchvision cuts
_OVERHEAD = 4096  # bytes of a file beside the features, at most


class FeatureFile(NamedTuple):
    """The file of one model's features of one list of images."""

    path: Path
    fingerprint: str  # of the model, the paths and contents of the images

    def read(self, images: int) -> Float[np.ndarray, "N D"] | None:
        """Read the features of so many images; None where they are to be computed.

        Of a damaged or exchanged file, a warning is logged.
        """
        if not self.path.exists():
            return None
        try:
            # Opened here, because np.load leaves a damaged archive open.
            with (
                self.path.open("rb") as stream,
                np.load(stream, allow_pickle=False) as archive,
            ):
                features, digest = archive["features"], str(archive["sha256"])
        # What a damaged archive raises depends on where the damage is.
        except Exception as error:
            logging.warning(
                "'%s' is damaged (%s): computing it again", self.path, error
            )
            return None
        fits = features.dtype == np.float32 and features.shape[:1] == (images,)
        if not fits or digest != self._digest(features):
            logging.warning(
                "'%s' is not what was kept there: computing it again", self.path
            )
            return None
        return features

    def write(self, features: Float[np.ndarray, "N D"]) -> None:
        """Write the features; a file that cannot be written is only logged."""
        archive = io.BytesIO()
        digest = np.array(self._digest(features))
        np.savez(archive, features=features, sha256=digest)
        try:
            write_bytes(self.path, archive.getvalue())
        except UserError as error:
            # The features are right all the same; only the next run has to wait again.
            logging.warning("cannot keep image features: %s", error.what)

    def _digest(self, features: Float[np.ndarray, "N D"]) -> str:
        # With the fingerprint inside, a file under another's name is found out too.
        digest = hashlib.sha256(f"{self.fingerprint}\0{features.shape}\0".encode())
        digest.update(np.ascontiguousarray(features).data)
        return digest.hexdigest()


def feature_file(
    cache: Path, clip: Clip, images: Iterable[tuple[str, str]]
) -> FeatureFile:
    """The file in `cache` of images, each a path and a content hash, in order."""
    digest = hashlib.sha256(f"{_FORMAT}\0{clip.fingerprint}\0{clip.dtype}".encode())
    for path, content in images:
        digest.update(f"\0{path}\0{content}".encode(errors="surrogateescape"))
    fingerprint = digest.hexdigest()
    return FeatureFile(cache / f"{fingerprint[:32]}.npz", fingerprint)


def candidates(cache: Path, clip: Clip, images: int) -> list[Path]:
    """The files in `cache` that are as large as so many features of the model.

    All images are read to know the file's name: not where there is none.
    """
    size = 4 * images * clip.config.projection
    files = cache.glob("*.npz")
    return [file for file in files if 0 < file.stat().st_size - size < _OVERHEAD]
