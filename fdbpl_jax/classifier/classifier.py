"""A CLIP with learned prompts that classifies images."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.special import softmax

from fdbpl_jax.clip.model import Clip, cast, load_clip, logit_scale
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.images import as_read, read_image
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset, first_few
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import cosines, share_correct
from fdbpl_jax.evaluation.detection import scores
from fdbpl_jax.evaluation.features import encoded_images, tower_features
from fdbpl_jax.evaluation.prompted import (
    class_text,
    cosines_by_image,
    image_encoder,
    predictions,
)
from fdbpl_jax.evaluation.test_set import HeldOut
from fdbpl_jax.learners.coop import COOP, negative_prompt
from fdbpl_jax.learners.learner import Classes, Models, Prompts, Trained, from_tree
from fdbpl_jax.methods.table import Method, method_named
from fdbpl_jax.training.checkpoint import load_prompts

Picture = str | Path | Image.Image


class Prediction(NamedTuple):
    """What a classifier says of one image."""

    labels: tuple[str, ...]  # class names, the most probable first
    probabilities: tuple[float, ...]  # of the labels, among all classes
    # Higher for images of the classes, in nats: positive entropy (negated) plus the
    # negative prompt's distance from uniform. None: there is no negative prompt.
    rejection: float | None


class _Texts(NamedTuple):
    """Classes, and their L2-normalised features under the prompts, [C D]."""

    classes: Classes
    positive: Any = None  # None: they depend on the image
    negative: Any = None  # None: there is no negative prompt


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Learned prompts with the models that they were learned on."""

    models: Models  # the teacher's place is the student's where no learner reads it
    method: Method
    prompt: PromptConfig
    prompts: Prompts
    running: Any  # running statistics of learners that have them
    class_names: tuple[str, ...]
    template: str  # of hand-written text, for learners that learn none
    # Texts of the names that were asked for last: many calls ask for the same.
    _asked: dict[tuple[str, ...], _Texts] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def load(
        cls, folder: str | Path, student: str = "", teacher: str = ""
    ) -> "Classifier":
        """Read the export of a finished cell, or of `interop.import_torch`.

        Args:
          folder: the `export` folder.
          student: folder or hub id of the CLIP that the prompts were learned on; empty:
            as the export names it.
          teacher: the same of the teacher, which only PromptKD's prompts need.

        Raises:
          UserError: no complete export, or a CLIP that is not the export's.
        """
        tree, facts = load_prompts(Path(folder))
        settings = facts["config"]
        method = method_named(settings["method"])
        models = _models(facts, student, teacher, method)
        running = tree.pop("running", None)
        kinds = {"positive": method.learner.prompt, "negative": COOP.prompt}
        prompts = {name: from_tree(kinds[name], part) for name, part in tree.items()}
        if method.learner.init_running:
            running = from_tree(type(method.learner.init_running(1)), running)
        return cls(
            models=models,
            method=method,
            # Imported contexts of earlier versions do not say that they have no words.
            prompt=PromptConfig(**{"init": "", **settings["prompt"]}),
            prompts=Prompts(**prompts),
            running=running,
            class_names=tuple(facts["class_names"]),
            template=facts.get("template", "a photo of a {}."),
        )

    def predict(
        self, images: Iterable[Picture], top: int = 5, classes: Sequence[str] = ()
    ) -> list[Prediction]:
        """Classify images.

        Args:
          images: files, or pictures in memory.
          top: how many classes to name of each, at most.
          classes: other names than those learned on; the prompts must be able to take
            them, and class-specific contexts cannot.

        Raises:
          UserError: listing the images that cannot be read, or for names that the
            prompts cannot take.
        """
        names, pictures = tuple(classes) or self.class_names, list(images)
        if not pictures:
            return []
        texts = self._texts(names)  # first: it refuses names
        features, scale = self._features(pictures), logit_scale(self.models.student)
        nearness = self._cosines(features, texts)
        probabilities = softmax(scale * nearness, axis=1)
        rejection: list[Any] = [None] * len(pictures)
        if texts.negative is not None:
            by_score = scores(features, texts.positive, texts.negative, scale)
            rejection = by_score["both"].tolist()
        best = np.argsort(-nearness, axis=1, kind="stable")[:, :top]
        return [
            Prediction(
                tuple(names[label] for label in labels),
                tuple(float(row[label]) for label in labels),
                score,
            )
            for labels, row, score in zip(best, probabilities, rejection, strict=True)
        ]

    @property
    def trained(self) -> Trained:
        """The positive prompt as it is evaluated."""
        return Trained(self.prompts.positive, self.running)

    def classes(self, names: tuple[str, ...]) -> Classes:
        """The classes as the learner distinguishes them.

        Raises:
          UserError: names that are the same to CLIP, or that the prompts cannot take.
        """
        if self.prompt.class_specific and names != self.class_names:
            raise UserError(
                f"these are contexts of {len(self.class_names)} single classes, which "
                "serve no other names and no other order",
                f"Theirs are: {first_few(self.class_names)}.",
            )
        refuse_same_tokens(self.models.student.tokenizer, names, "these classes")
        return self.method.learner.classes(
            self.models, self.prompt, self.template, names
        )

    def _features(self, pictures: Sequence[Picture]) -> Float[np.ndarray, "N D"]:
        """L2-normalised image features, under the image prompts if there are any."""
        encode = image_encoder(self.models, self.method.learner, self.trained)
        return encoded_images(self.models.student, pictures, _picture, encode)

    def _texts(self, names: tuple[str, ...]) -> _Texts:
        """What the text tower makes of names, once for all calls that ask for them."""
        if names not in self._asked:
            self._asked.clear()
            self._asked[names] = self._encoded_texts(names)
        return self._asked[names]

    def _encoded_texts(self, names: tuple[str, ...]) -> _Texts:
        classes, learner, models = self.classes(names), self.method.learner, self.models
        if learner.text_by_image:
            return _Texts(classes)
        positive = class_text(models, learner, classes, self.prompts.positive)
        if not self.method.measures_rejection:
            return _Texts(classes, np.asarray(positive))
        settings = negative_prompt(models.student.tokenizer, self.prompt)
        layout = COOP.classes(models, settings, self.template, names)
        negative = class_text(models, COOP, layout, self.prompts.negative)
        return _Texts(classes, np.asarray(positive), np.asarray(negative))

    def _cosines(
        self, features: Float[np.ndarray, "N D"], texts: _Texts
    ) -> Float[np.ndarray, "N C"]:
        """How near each image is to each class under the positive prompt."""
        if texts.positive is not None:
            return cosines(features, texts.positive)
        prompt, learner = self.prompts.positive, self.method.learner
        rows = cosines_by_image(self.models, learner, texts.classes, prompt, features)
        return np.concatenate(list(rows))


def evaluate(classifier: Classifier, dataset: Dataset, workdir: Path) -> float:
    """Compute the accuracy on the test images, all classes together, in percent.

    Features of images are kept in the workdir where the image tower has no prompts.

    Raises:
      UserError: there is no test image, images cannot be read, or contexts of single
        classes are of others.
    """
    if not dataset.test:
        raise UserError(f"data set '{dataset.name}' has no test image", "Add some.")
    student = classifier.models.student
    classifier.classes(dataset.class_names)  # refuses names that it cannot take
    features = np.zeros((0, 0), np.float32)
    if not classifier.method.learner.prompts_images:
        images = SourceImages.recorded_in(workdir / "images", dataset.root)
        cache = workdir / "features"
        (features,) = tower_features([student], images, dataset.test, cache)
    labels = np.array([example.label for example in dataset.test], np.int32)
    held = HeldOut(dataset, dataset.test, features, labels)
    predicted = predictions(
        classifier.models,
        classifier.method.learner,
        classifier.prompt,
        classifier.trained,
        held,
    )
    return share_correct(predicted, labels)


def _picture(image: Picture) -> Image.Image:
    if isinstance(image, Image.Image):
        return as_read(image)
    return read_image(Path(), str(image))


def _models(
    facts: dict[str, Any], student: str, teacher: str, method: Method
) -> Models:
    first = _model("student", facts, student)
    if not method.learner.reads_teacher_text:
        return Models(first, first)
    return Models(first, _model("teacher", facts, teacher))


def _model(role: str, facts: dict[str, Any], source: str) -> Clip:
    """The CLIP of a role, checked by its fingerprint."""
    name, expected = facts[role]["name"], facts[role]["sha256"]
    # Towers in the dtype in which the prompts were learned; imported ones name none.
    dtype = tower_dtype(facts["config"].get("dtype", ""))
    clip = cast(load_clip(source or name), dtype)
    if clip.fingerprint != expected:
        raise UserError(
            f"'{clip.name}' is another {role} than the export's, '{name}'",
            f"Set --{role} to that one or where it is now.",
        )
    return clip
