"""Classification accuracy of class prompts, per class too, and the harmonic mean.

Every accuracy here is in percent, computed from frozen image features (`features.py`)
and the text features of one prompt per class. The counting is exact: predictions come
from the device as integers and are counted on the host.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fdbpl_jax.errors import UserError

# Scores are never held for more images than this at once: [N, C] of ImageNet's test
# split against 20,000 names would be 4 GB.
_IMAGES_AT_ONCE = 4096

# How far from 1 a text feature's length may be; wide enough for bfloat16 towers.
_LENGTH_TOLERANCE = 0.02


def accuracy(
    features: Float[Array | np.ndarray, "N D"],
    labels: Int[Array | np.ndarray, " N"],
    text: Float[Array | np.ndarray, "C D"],
) -> float:
    """Share of images whose nearest class prompt, by cosine, is their own class.

    Features and text, one per class, are L2-normalised; labels are 0 … C-1. In percent;
    of equal scores the lower class index wins.

    Raises:
      UserError: a feature is NaN or infinite, there are no images, or a label is not
        one of the C classes.
      ValueError: shapes that do not fit, or text features that are not normalised.
    """
    _check_labels(labels, len(features), len(text))
    return share_correct(nearest_classes(features, text), labels)


def share_correct(
    predicted: Int[np.ndarray, " N"], labels: Int[Array | np.ndarray, " N"]
) -> float:
    """Percentage of predictions that equal their label."""
    return 100.0 * float(np.mean(predicted == np.asarray(labels)))


def standard_error(percent: float, images: int) -> float:
    """Of a percentage of so many images, in points: √(p (1 - p) / n)."""
    return math.sqrt(percent * (100.0 - percent) / images)


def nearest_classes(
    features: Float[Array | np.ndarray, "N D"], text: Float[Array | np.ndarray, "C D"]
) -> Int[np.ndarray, " N"]:
    """The class of each image: the nearest text by cosine, the lower of equal ones.

    Raises:
      UserError: a feature is NaN or infinite, or there are no images.
      ValueError: shapes that do not fit, or text features that are not normalised.
    """
    _check(features, text)
    nearest, image_finite, text_finite = jax.device_get(_nearest(features, text))
    _check_finite("image feature", image_finite)
    _check_finite("text feature", text_finite)
    return nearest


def cosines(
    features: Float[Array | np.ndarray, "N D"], text: Float[Array | np.ndarray, "C D"]
) -> Float[np.ndarray, "N C"]:
    """The cosine of each image and each text, which `nearest_classes` compare.

    Raises:
      UserError, ValueError: as `nearest_classes`.
    """
    _check(features, text)
    values = np.asarray(_all_cosines(features, text))
    _check_finite("image", np.isfinite(values).all(axis=1))
    return values


def check_features(features: Float[np.ndarray, "N D"]) -> None:
    """Refuse no images, and features that are not finite.

    Raises:
      UserError: naming the first.
    """
    _refuse_none(features)
    _check_finite("image feature", np.isfinite(features).all(axis=1))


def confusion_matrix(
    predicted: Int[np.ndarray, " N"], labels: Int[np.ndarray, " N"], classes: int
) -> Int[np.ndarray, "C C"]:
    """Images by their class (rows) and their predicted class (columns)."""
    pairs = np.asarray(labels, np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def per_class_accuracy(
    predicted: Int[np.ndarray, " N"], labels: Int[np.ndarray, " N"], classes: int
) -> Float[np.ndarray, " C"]:
    """Accuracy per class, in percent, float64; NaN for a class without images."""
    images = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels, weights=predicted == labels, minlength=classes)
    share = np.full(classes, np.nan)
    return np.divide(100.0 * hits, images, out=share, where=images > 0)


def harmonic_mean(base: float, new: float) -> float:
    """2·base·new / (base + new), in the unit of its arguments; 0 when both are 0.

    The figure that base-to-new papers rank by (Xian et al., "Zero-shot learning: a
    comprehensive evaluation", 2017): high only when both accuracies are.
    """
    return 2.0 * base * new / (base + new) if base + new else 0.0


@jax.jit
def _nearest(
    features: Float[Array, "N D"], text: Float[Array, "C D"]
) -> tuple[Int[Array, " N"], Bool[Array, " N"], Bool[Array, " C"]]:
    nearest = jax.lax.map(
        lambda feature: jnp.argmax(_cosines(text, feature)),
        features,
        batch_size=_IMAGES_AT_ONCE,
    )
    image_finite = jnp.isfinite(features).all(axis=1)
    return nearest, image_finite, jnp.isfinite(text).all(axis=1)


@jax.jit
def _all_cosines(
    features: Float[Array, "N D"], text: Float[Array, "C D"]
) -> Float[Array, "N C"]:
    return jax.lax.map(
        lambda feature: _cosines(text, feature), features, batch_size=_IMAGES_AT_ONCE
    )


def _cosines(text: Float[Array, "C D"], feature: Float[Array, " D"]) -> Array:
    # Full float32: the default on GPU and TPU rounds the factors, enough to swap two
    # near classes and so to make the number depend on the device.
    return jnp.matmul(
        text.astype(jnp.float32),
        feature.astype(jnp.float32),
        precision=jax.lax.Precision.HIGHEST,
    )


def _check_labels(
    labels: Int[Array | np.ndarray, " X"], images: int, classes: int
) -> None:
    if len(labels) != images:
        raise ValueError(f"{len(labels)} labels do not fit {images} images")
    host_labels = np.asarray(labels)
    strange = np.flatnonzero((host_labels < 0) | (host_labels >= classes))
    if strange.size:
        raise UserError(
            f"image {strange[0]} has label {host_labels[strange[0]]}, but there are "
            f"{classes} classes (0 to {classes - 1})",
            "Evaluate with the class names of the data set the images are from.",
        )


def _check(
    features: Float[Array | np.ndarray, "N D"], text: Float[Array | np.ndarray, "C E"]
) -> None:
    """Shapes and text lengths, before anything runs on the device."""
    if features.shape[1] != text.shape[1]:
        raise ValueError(
            f"features {features.shape} and text {text.shape} do not fit: expected "
            "[N D], [C D]"
        )
    _refuse_none(features)
    lengths = np.linalg.norm(np.asarray(text, np.float32), axis=1)
    finite = np.isfinite(lengths)  # the others are the business of _check_finite
    wrong = np.flatnonzero(finite & (np.abs(lengths - 1) > _LENGTH_TOLERANCE))
    if wrong.size:
        raise ValueError(
            f"text feature {wrong[0]} has length {lengths[wrong[0]]:.3f}, not 1"
        )


def _refuse_none(features: Float[Array | np.ndarray, "N D"]) -> None:
    if not len(features):
        raise UserError("there are no images to evaluate", "Check the test split.")


def _check_finite(kind: str, finite: Bool[np.ndarray, " X"]) -> None:
    bad = np.flatnonzero(~finite)
    if bad.size:
        raise UserError(
            f"{bad.size} of {finite.size} {kind}s hold NaN or infinity, the first is "
            f"number {bad[0]}",
            "Training diverged or the weights are damaged: lower the learning rate, "
            "or check the model.",
        )
