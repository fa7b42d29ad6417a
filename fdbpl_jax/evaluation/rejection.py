"""What the negative prompt of a trained cell is good for: telling what to reject."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fdbpl_jax.clip.model import logit_scale
from fdbpl_jax.config import RunConfig
from fdbpl_jax.evaluation.detection import auroc, fpr_at_tpr, scores
from fdbpl_jax.experiments.assemble import Job, Stage, classes_of, student_of
from fdbpl_jax.files import write_text
from fdbpl_jax.learners.coop import negative_prompt
from fdbpl_jax.learners.learner import text_features
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.reports.results import Rejection
from fdbpl_jax.ril.labels import information_weight
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.table import Table

REJECTION = "rejection.json"
REGIONS = "regions without information"
NEW = "images of new classes"

_LOWEST = 0.1  # share of the regions that counts as having no information
_READ = 20_000  # regions at most that they are chosen from

_text = jax.jit(text_features, static_argnames=("learner", "student"))


def write_rejection(
    run: RunConfig, stage: Stage, job: Job, prompts: dict[str, Any]
) -> None:
    """Leaves the measures in the cell's folder, if it has what they need.

    They need a negative prompt, whose class texts and image features are the same for
    all images.
    """
    method = METHODS[job.method]
    if not method.negative or method.learner != "coop":
        return
    found = measured(run, stage, job, prompts)
    lines = [dataclasses.asdict(one) for one in found]
    write_text(job.directory / REJECTION, json.dumps(lines, indent=1) + "\n")


def read_rejection(job: Job) -> list[Rejection]:
    """What `write_rejection` left; nothing where it left nothing."""
    file = job.directory / REJECTION
    lines = json.loads(file.read_text()) if file.exists() else []
    return [Rejection(**line) for line in lines]


def measured(
    run: RunConfig, stage: Stage, job: Job, prompts: dict[str, Any]
) -> list[Rejection]:
    """AUROC and FPR at 95 % TPR of each score, of the whole test images of the classes
    trained on against regions of training images with the least information, and
    against images of new classes.

    Args:
      run, stage, job: of the cell.
      prompts: trained, "positive" and "negative".

    Raises:
      UserError: a feature is not finite.
    """
    exam = stage.exams[0]
    branches = {"positive": run.prompt_of(job.method)}
    branches["negative"] = negative_prompt(
        stage.student.tokenizer, branches["positive"]
    )
    names = exam.base.dataset.class_names
    text = {
        branch: np.asarray(
            _text(
                "coop",
                student_of(stage.student),
                stage.student.params["text"],
                classes_of(stage, "coop", prompt, exam.base.dataset, names),
                prompts[branch],
                None,
            )
        )
        for branch, prompt in branches.items()
    }

    def scored(features: np.ndarray) -> dict[str, np.ndarray]:
        scale = logit_scale(stage.student)
        return dict(scores(features, text["positive"], text["negative"], scale))

    kept = scored(exam.base.features)
    against = {REGIONS: scored(_poorest(stage.table))}
    if exam.new is not None:
        against[NEW] = scored(exam.new.features)
    return [
        Rejection(
            exam.name,
            job.name,
            job.seed,
            what,
            score,
            100 * auroc(kept[score], rejected[score]),
            100 * fpr_at_tpr(kept[score], rejected[score]),
        )
        for what, rejected in against.items()
        for score in kept
    ]


def _poorest(table: Table) -> np.ndarray:
    """The student's features of the stored regions with the lowest weights w."""
    images = len(table.spec.images)
    slots = np.arange(max(1, min(table.spec.regions, _READ // images)))
    feature = feature_name(table.student)
    found = table.read(["entropy", feature], np.arange(images), slots)
    weight = information_weight(
        jnp.asarray(found["entropy"]), len(table.spec.class_names)
    )
    weight = np.asarray(weight).reshape(-1)
    features = found[feature].reshape(len(weight), -1)
    count = max(1, int(_LOWEST * len(weight)))
    lowest = np.argsort(weight, kind="stable")[:count]
    return features[lowest].astype(np.float32)
