"""A classifier as one StableHLO program, which runs where JAX alone is installed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float, UInt8

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import refuse_existing
from fdbpl_jax.classifier.texts import Texts
from fdbpl_jax.clip.image import normalise, to_hf_preprocessor
from fdbpl_jax.clip.model import cast, logit_scale, unit
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.files import write_folder
from fdbpl_jax.files.sealed import file_digest, seal
from fdbpl_jax.learners.learner import Student
from fdbpl_jax.losses.divergence import kl_uniform_to_logits

PROGRAM, FACTS = "classifier.stablehlo", "stablehlo.json"
PLATFORMS = ("cpu", "cuda", "tpu")

Program = Callable[[UInt8[Array, "B S S 3"]], tuple[Array, ...]]


def write_stablehlo(
    folder: Path, classifier: Classifier, overwrite: bool = False
) -> None:
    """Write the program of a classifier, and a file that says how to call it.

    The program takes pixels of 0 to 255, [B S S 3] for any B, and returns probabilities
    [B C] and, where there is a negative prompt, the rejection score [B], in float32.

    Raises:
      UserError: the folder exists, and is no older program or not `overwrite`.
    """
    refuse_existing(folder, overwrite, FACTS)
    content = exported(classifier).serialize()

    def write(part: Path) -> None:
        (part / PROGRAM).write_bytes(content)
        facts = seal(_facts(classifier, file_digest(part / PROGRAM)))
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        (part / FACTS).write_text(text, encoding="utf-8")

    def is_there() -> bool:
        refuse_existing(folder, overwrite, FACTS)
        return False

    write_folder(folder, write, is_there)


def exported(classifier: Classifier) -> export.Exported:
    """The classifier's own names as a program with its weights inside.

    In float32, whatever the classifier computes in: half precision is fused
    differently by each platform.
    """
    (batch,) = export.symbolic_shape("batch")
    size = classifier.student.image.size
    pixels = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.uint8)
    return export.export(jax.jit(_program(classifier)), platforms=PLATFORMS)(pixels)


def _facts(classifier: Classifier, digest: str) -> dict[str, Any]:
    has_rejection = classifier.texts(classifier.class_names).negative is not None
    return {
        "class_names": list(classifier.class_names),
        "input": "pixels of 0 to 255, RGB, prepared as `preprocessing` says but for "
        "rescaling and normalising: uint8 [batch, side, side, 3]",
        "output": ["probabilities"] + ["rejection"] * has_rejection,
        "reject_below": classifier.reject_below,
        "preprocessing": to_hf_preprocessor(classifier.student.image),
        "platforms": list(PLATFORMS),
        "files": {PROGRAM: digest},
    }


def _program(classifier: Classifier) -> Program:
    student = cast(classifier.student, "float32")
    static = Student(student.config, student.image)
    texts = classifier.texts(classifier.class_names)
    scale = logit_scale(student)
    cosines = _cosines(classifier, static, student.params, texts)

    def program(pixels: UInt8[Array, "B S S 3"]) -> tuple[Array, ...]:
        with jax.default_matmul_precision("highest"):
            features = _features(classifier, static, student.params, pixels)
            nearness = cosines(features)
            log_p = jax.nn.log_softmax(scale * nearness)
            if texts.negative is None:
                return (jnp.exp(log_p),)
            negative = scale * features @ jnp.asarray(texts.negative).T
            entropy = jnp.sum(jnp.exp(log_p) * log_p, axis=-1)
            return jnp.exp(log_p), entropy + kl_uniform_to_logits(negative)

    return program


def _features(
    classifier: Classifier,
    static: Student,
    params: dict[str, Any],
    pixels: UInt8[Array, "B S S 3"],
) -> Float[Array, "B D"]:
    learner, vision = classifier.method.learner, params["vision"]
    if learner.image_features is not None:
        trained = jax.tree.map(jnp.asarray, classifier.trained)
        return learner.image_features(static, vision, trained, pixels, False)[0]
    normalised = normalise(static.image, pixels)
    return unit(encode_image(static.config.vision, vision, normalised))


def _cosines(
    classifier: Classifier, static: Student, params: dict[str, Any], texts: Texts
) -> Callable[[Float[Array, "B D"]], Float[Array, "B C"]]:
    if texts.positive is not None:
        text = np.asarray(texts.positive)
        return lambda features: features @ jnp.asarray(text).T
    text_features = classifier.method.learner.text_features
    prompt = jax.tree.map(jnp.asarray, classifier.trained.prompt)

    def of_image(feature: Float[Array, " D"]) -> Float[Array, " C"]:
        image = feature[None]
        text = text_features(static, params["text"], texts.classes, prompt, image)
        return text[0] @ feature

    # Image by image: the number of images is not known when the program is made.
    return lambda features: jax.lax.map(of_image, features)
