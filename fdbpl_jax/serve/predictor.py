"""Predictions for pixels, by programs of a few fixed shapes.

Images are encoded in batches of a few sizes, filled up with black ones. Names that the
classifier was not learned on are encoded one by one, so that a program depends on the
length of a name and not on a list of them.
"""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fdbpl_jax.classifier.classifier import Classifier, Prediction
from fdbpl_jax.classifier.texts import Texts
from fdbpl_jax.clip.image import preprocess
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.errors import UserError

_KEPT_NAMES, _KEPT_LISTS = 1000, 50

Names = tuple[str, ...]


class Predictor:
    """A classifier as the service uses it; all but `prepare` for a single thread."""

    def __init__(self, classifier: Classifier, batch: int) -> None:
        """Compile the programs: of batches of 1, 2, 4, … images, at most `batch`.

        Raises:
          UserError: the classifier's features are not finite.
        """
        self.classifier = classifier
        self.sizes = [2**n for n in range(batch.bit_length())]
        self._encode = classifier.encode
        self._of_name = functools.lru_cache(_KEPT_NAMES)(
            lambda name: classifier.encode_texts((name,))
        )
        self._of_list = functools.lru_cache(_KEPT_LISTS)(self._encode_list)
        side = classifier.student.image.size
        for size in self.sizes:
            self.predict([np.zeros((side, side, 3), np.uint8)] * size, [()] * size, 1)

    def prepare(self, image: Image.Image) -> UInt8[np.ndarray, "S S 3"]:
        """Resize and cut an image as the student takes it."""
        return preprocess(image, self.classifier.student.image)

    def predict(
        self,
        images: Sequence[UInt8[np.ndarray, "S S 3"]],
        names: Sequence[Names],
        top: int,
    ) -> list[Prediction | UserError]:
        """Classify a batch, at most the largest of `sizes`.

        Args:
          images: as of `prepare`.
          names: class names for each image; empty: those learned on.
          top: how many classes to name of each.

        Returns:
          The prediction of each image, or why its names are refused.

        Raises:
          UserError: a feature is not finite.
        """
        features = self._features(images)
        results: list[Prediction | UserError] = [UserError("not computed")] * len(names)
        for asked in dict.fromkeys(names):
            rows = [row for row, some in enumerate(names) if some == asked]
            try:
                texts = self._texts(asked)
            except UserError as error:
                predictions: Sequence[Prediction | UserError] = [error] * len(features)
            else:  # of all rows: the same shapes, whichever ask for these names
                predictions = self.classifier.predict_features(features, texts, top)
            for row in rows:
                results[row] = predictions[row]
        return results

    def _features(
        self, images: Sequence[UInt8[np.ndarray, "S S 3"]]
    ) -> Float[np.ndarray, "N D"]:
        """Features of images, L2-normalised, and of the black ones that fill up."""
        size = next(size for size in self.sizes if size >= len(images))
        padded = np.zeros((size, *images[0].shape), np.uint8)
        padded[: len(images)] = np.stack(images)
        return np.asarray(self._encode(padded)).astype(np.float32)

    def _texts(self, names: Names) -> Texts:
        learned = self.classifier.class_names
        if names in ((), learned):
            return self.classifier.texts(learned)
        return self._of_list(names)

    def _encode_list(self, names: Names) -> Texts:
        refuse_same_tokens(self.classifier.student.tokenizer, names, "these classes")
        if self.classifier.method.learner.text_by_image:
            # Its programs are for a list as a whole; they must not become many.
            if self._of_list.cache_info().misses % _KEPT_LISTS == 0:
                jax.clear_caches()
            return self.classifier.encode_texts(names)
        texts = [self._of_name(name) for name in names]
        positive = np.concatenate([text.positive for text in texts])
        if texts[0].negative is None:
            return Texts(names, None, positive)
        negative = np.concatenate([text.negative for text in texts])
        return Texts(names, None, positive, negative)
