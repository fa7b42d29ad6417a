"""Class texts under learned prompts, as a classifier compares images with them."""

from typing import Any, NamedTuple

import numpy as np

from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.prompted import class_text
from fdbpl_jax.learners.coop import COOP, negative_prompt
from fdbpl_jax.learners.learner import Classes, Models, Prompts
from fdbpl_jax.methods.table import Method


class Texts(NamedTuple):
    """Text features of classes, L2-normalised, and what they are made of."""

    names: tuple[str, ...]
    classes: Any  # `Classes`; None: the features were stored
    positive: Any = None  # [C D]; None: they depend on the image
    negative: Any = None  # [C D]; None: there is no negative prompt


class Wording(NamedTuple):
    """Learned prompts, with all that makes texts of them."""

    method: Method
    prompt: PromptConfig
    prompts: Prompts
    class_names: tuple[str, ...]  # learned on
    template: str  # of hand-written text, for learners that learn none

    def texts(self, models: Models, names: tuple[str, ...], template: str) -> Texts:
        """Encode the texts of classes.

        Raises:
          UserError: as `classes`.
        """
        learner = self.method.learner
        classes = self.classes(models, names, template)
        if learner.text_by_image:
            return Texts(names, classes)
        positive = class_text(models, learner, classes, self.prompts.positive)
        if not self.method.measures_rejection:
            return Texts(names, classes, np.asarray(positive))
        settings = negative_prompt(models.student.tokenizer, self.prompt)
        layout = COOP.classes(models, settings, template, names)
        negative = class_text(models, COOP, layout, self.prompts.negative)
        return Texts(names, classes, np.asarray(positive), np.asarray(negative))

    def classes(self, models: Models, names: tuple[str, ...], template: str) -> Classes:
        """The classes as the learner distinguishes them.

        Raises:
          UserError: the prompts cannot take these names.
        """
        if self.prompt.class_specific and names != self.class_names:
            raise UserError(
                f"these are contexts of {len(self.class_names)} single classes, which "
                "serve no other names and no other order",
                f"Theirs are: {first_few(self.class_names)}.",
            )
        return self.method.learner.classes(models, self.prompt, template, names)
