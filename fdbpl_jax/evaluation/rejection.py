"""How well the prompts of a trained cell separate test images from what to reject."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fdbpl_jax.clip.model import logit_scale
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.evaluation.detection import auroc, fpr_at_tpr, scores
from fdbpl_jax.evaluation.prompted import class_text
from fdbpl_jax.evaluation.test_set import TestSet
from fdbpl_jax.learners.coop import COOP, negative_prompt
from fdbpl_jax.learners.learner import Models, Prompt, Prompts
from fdbpl_jax.ril.labels import information_weight
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.table import Table

REGIONS = "regions without information"
NEW = "images of new classes"

_LOWEST = 0.1  # share of the regions that counts as having no information
_READ = 20_000  # regions at most that they are chosen from


class Separation(NamedTuple):
    """How well a score separates test images from something to reject."""

    against: str  # `REGIONS` or `NEW`
    score: str
    auroc: float  # percent; 50 is chance
    fpr: float  # percent that passes where 95 % of the test images pass


def separations(
    models: Models,
    prompt: PromptConfig,
    prompts: Prompts,
    test_set: TestSet,
    table: Table,
) -> list[Separation]:
    """AUROC and FPR95 of each score of the test images of the classes trained on.

    Against regions of training images with the least information, and against images
    of new classes.

    Args:
      prompt: settings of the positive prompt.
      prompts: trained, positive and negative contexts.
      test_set: of the data set that was trained on.

    Raises:
      UserError: a feature is not finite.
    """
    negative = negative_prompt(models.student.tokenizer, prompt)
    positive_text = _text(models, prompt, prompts.positive, test_set)
    negative_text = _text(models, negative, prompts.negative, test_set)
    scale = logit_scale(models.student)

    def scored(
        features: Float[np.ndarray, "N D"],
    ) -> dict[str, Float[np.ndarray, " N"]]:
        return dict(scores(features, positive_text, negative_text, scale))

    accepted = scored(test_set.base.features)
    rejected = {REGIONS: scored(_poorest(table))}
    if test_set.new is not None:
        rejected[NEW] = scored(test_set.new.features)
    return [
        Separation(
            against,
            score,
            100 * auroc(accepted[score], by_score[score]),
            100 * fpr_at_tpr(accepted[score], by_score[score]),
        )
        for against, by_score in rejected.items()
        for score in accepted
    ]


def _text(
    models: Models, prompt: PromptConfig, context: Prompt, test_set: TestSet
) -> Float[np.ndarray, "C D"]:
    dataset = test_set.base.dataset
    classes = COOP.classes(models, prompt, dataset.template, dataset.class_names)
    return np.asarray(class_text(models, COOP, classes, context))


def _poorest(table: Table) -> Float[np.ndarray, "N D"]:
    """The student's features of the stored regions with the lowest weights w."""
    images = len(table.spec.images)
    slots = np.arange(max(1, min(table.spec.regions, _READ // images)))
    feature = feature_name(table.student)
    rows = table.read(["entropy", feature], np.arange(images), slots)
    classes = len(table.spec.class_names)
    weight = np.asarray(information_weight(jnp.asarray(rows["entropy"]), classes))
    weight = weight.reshape(-1)
    features = rows[feature].reshape(len(weight), -1)
    count = max(1, int(_LOWEST * len(weight)))
    lowest = np.argsort(weight, kind="stable")[:count]
    return features[lowest].astype(np.float32)
