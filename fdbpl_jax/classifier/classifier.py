"""A CLIP with learned prompts that classifies images."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.special import softmax

from fdbpl_jax.classifier.opened import Opened, open_prompts
from fdbpl_jax.classifier.sources import Source, load_source
from fdbpl_jax.classifier.stored import threshold
from fdbpl_jax.classifier.texts import Texts
from fdbpl_jax.clip.model import Clip, logit_scale
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.data.images import as_read, read_image
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import cosines
from fdbpl_jax.evaluation.detection import TPR, scores
from fdbpl_jax.evaluation.features import Encode, encoded_images
from fdbpl_jax.evaluation.prompted import cosines_by_image, image_encoder
from fdbpl_jax.learners.learner import Models, Trained
from fdbpl_jax.methods.table import Method

Picture = str | Path | Image.Image


class Prediction(NamedTuple):
    """What a classifier says of one image."""

    labels: tuple[str, ...]  # class names, the most probable first
    probabilities: tuple[float, ...]  # of the labels, among all classes
    # Higher for images of the classes, in nats: positive entropy (negated) plus the
    # negative prompt's distance from uniform. None: there is no negative prompt.
    rejection: float | None


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Learned prompts with the models that they were learned on."""

    opened: Opened
    student: Clip
    teacher: str  # where PromptKD's teacher is, as the user says; empty: as its file
    # Texts of the names that were asked for last: many calls ask for the same.
    _asked: dict[tuple[Any, ...], Texts] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def load(
        cls, source: str | Path, student: str = "", teacher: str = ""
    ) -> "Classifier":
        """Read a classifier folder, or the export of a cell or of an imported context.

        Args:
          source: the folder, or a classifier's hub id, `id@revision` too.
          student: folder or hub id of the CLIP that the prompts were learned on; empty:
            as the files name it. Of a classifier folder only hub ids are followed.
          teacher: the same of the teacher, which only PromptKD's prompts need, and a
            classifier folder of them only for other names than its own.

        Raises:
          UserError: nothing complete is there, or a CLIP is not the one of the files.
        """
        opened = open_prompts(source)
        clip = _load(opened, "student", student)
        classifier = cls(opened, clip, teacher)
        if opened.stored is None:
            _ = classifier.models  # a teacher that is not there is named now
        return classifier

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names that were learned on, in order."""
        return self.opened.facts.class_names

    @property
    def method(self) -> Method:
        """The method that the prompts were learned by."""
        return self.opened.wording.method

    @property
    def template(self) -> str:
        """Hand-written text, for learners that learn none."""
        return self.opened.wording.template

    @property
    def takes_other_names(self) -> bool:
        """Whether the prompts serve names beside those learned on."""
        return not self.opened.wording.prompt.class_specific

    @property
    def reject_below(self) -> float | None:
        """The rejection score that 95 % of the validation images reach, if known."""
        return self.threshold(TPR) if self._thresholds else None

    def threshold(self, share: float) -> float:
        """The rejection score that a share, 0 to 1, of the validation images reaches.

        The images are of the classes; what is below the score is to be rejected.

        Raises:
          UserError: none were kept for that, as of a cell's export.
        """
        if not self._thresholds:
            raise UserError(
                "this classifier does not know the rejection scores of validation "
                "images, so it cannot tell when to say no",
                "Leave --reject out, or make the classifier with `fdbpl learn` and a "
                "method with a negative prompt, such as coop+fdbpl.",
            )
        return threshold(self._thresholds, share)

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
        texts = self.texts(names)  # first: it refuses names
        features = encoded_images(self.student, pictures, _picture, self.encode)
        return self.predict_features(features, texts, top)

    def predict_features(
        self, features: Float[np.ndarray, "N D"], texts: Texts, top: int
    ) -> list[Prediction]:
        """Classify images by their features, as `encode` makes them."""
        scale = logit_scale(self.student)
        nearness = self.cosines(features, texts)
        probabilities = softmax(scale * nearness, axis=1)
        rejection: list[Any] = [None] * len(features)
        if texts.negative is not None:
            by_score = scores(features, texts.positive, texts.negative, scale)
            rejection = by_score["both"].tolist()
        best = np.argsort(-nearness, axis=1, kind="stable")[:, :top]
        return [
            Prediction(
                tuple(texts.names[label] for label in labels),
                tuple(float(row[label]) for label in labels),
                score,
            )
            for labels, row, score in zip(best, probabilities, rejection, strict=True)
        ]

    @functools.cached_property
    def models(self) -> Models:
        """Student and teacher; the former twice where no learner reads a teacher.

        Raises:
          UserError: the teacher is not there, or another one.
        """
        if not self.method.learner.reads_teacher_text:
            return Models(self.student, self.student)
        return Models(self.student, _load(self.opened, "teacher", self.teacher))

    @property
    def encode(self) -> Encode:
        """Pixels to L2-normalised image features, under image prompts if any."""
        models = Models(self.student, self.student)  # it reads no teacher
        return image_encoder(models, self.method.learner, self.trained)

    @property
    def trained(self) -> Trained:
        """The positive prompt as it is evaluated."""
        return Trained(self.opened.wording.prompts.positive, self.opened.running)

    def texts(self, names: tuple[str, ...], template: str = "") -> Texts:
        """The text features of names, encoded once for all calls that ask for them.

        Those of a classifier folder are stored for its own names. For other names,
        `template` is of hand-written text, which some learners do not learn; empty, and
        for its own names: the classifier's.

        Raises:
          UserError: names that are the same to CLIP, or that the prompts cannot take.
        """
        stored, is_own = self.opened.stored, names == self.class_names
        if is_own and stored is not None and stored.texts is not None:
            return stored.texts
        if is_own or not template:
            template = self.template
        if (names, template) not in self._asked:
            self._asked.clear()
            self._asked[names, template] = self.encode_texts(names, template)
        return self._asked[names, template]

    def encode_texts(self, names: tuple[str, ...], template: str = "") -> Texts:
        """Encode names as `texts` does; nothing is kept."""
        refuse_same_tokens(self.student.tokenizer, names, "these classes")
        wording = self.opened.wording
        return wording.texts(self.models, names, template or wording.template)

    def cosines(
        self, features: Float[np.ndarray, "N D"], texts: Texts
    ) -> Float[np.ndarray, "N C"]:
        """How near each image is to each class under the positive prompt."""
        if texts.positive is not None:
            return cosines(features, texts.positive)
        prompt, learner = self.trained.prompt, self.method.learner
        rows = cosines_by_image(self.models, learner, texts.classes, prompt, features)
        return np.concatenate(list(rows))

    @property
    def _thresholds(self) -> tuple[float, ...]:
        return self.opened.stored.facts.thresholds if self.opened.stored else ()


def _load(opened: Opened, role: str, given: str) -> Clip:
    """The CLIP of a role; the classifier's own file goes before the export's in it."""
    facts = opened.stored.facts if opened.stored else opened.facts
    source: Source | None = getattr(facts, role)
    assert source is not None  # a cell's export names both
    dtype = opened.facts.config.dtype
    return load_source(role, source, given, dtype, opened.stored is not None)


def _picture(image: Picture) -> Image.Image:
    if isinstance(image, Image.Image):
        return as_read(image)
    return read_image(Path(), str(image))
