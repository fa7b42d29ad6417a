"""Trained prompts are tested as what they are, and exported whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.image import normalise, preprocess
from fdbpl_jax.clip.model import load_clip, unit
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.splits import subset
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.evaluation.prompted import prompted_accuracy
from fdbpl_jax.evaluation.test_set import HeldOut
from fdbpl_jax.learners import promptkd
from fdbpl_jax.learners.coop import class_layout, encode_context
from fdbpl_jax.learners.learner import Models, Start, Trained, init_prompt
from fdbpl_jax.learners.promptkd import Statistics
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.shapes.dataset import load_shapes
from fdbpl_jax.shapes.pair import embedded


@pytest.fixture(scope="module", name="stage")
def _stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score")
    student, teacher = (
        load_clip(str(embedded(name))) for name in ("student", "teacher")
    )
    base = subset(load_shapes("shapes-plain", folder / "shapes"), "base")
    examples = base.test[::13]
    labels = np.array([example.label for example in examples], np.int32)
    features = split_features(student, base, examples, folder)
    held = HeldOut(base, examples, features, labels)
    return Models(student, teacher), held


def learned(models, method):
    student, width = models.student, models.teacher.config.projection
    start = Start(
        student.config, student.params, student.tokenizer, method.prompt, 1, width
    )
    made = init_prompt(jax.random.key(0), method.learner, start)
    # Strong enough to change what is seen.
    return jax.tree.map(lambda leaf: 3 * leaf, made)


def class_text(stage, method):
    models, held = stage
    names, template = held.dataset.class_names, held.dataset.template
    return method.learner.classes(models, method.prompt, template, names).text


def accuracy(stage, method, trained):
    models, held = stage
    return prompted_accuracy(models, method.learner, method.prompt, trained, held)


def pixels(stage):
    models, held = stage
    size, root = models.student.image.size, held.dataset.root
    images = [
        preprocess(read_image(root, example.path), size) for example in held.examples
    ]
    return normalise(models.student.image, jnp.asarray(np.stack(images)))


def by_hand(image, text, labels):
    return 100 * float(np.mean(np.argmax(image @ np.asarray(text).T, 1) == labels))


def test_prompted_images_are_seen_under_their_prompts(stage):
    (models, held), method = stage, METHODS["vpt"]
    clip, trained = models.student, learned(models, method)
    image = unit(
        encode_image(
            clip.config.vision, clip.params["vision"], pixels(stage), trained.vision
        )
    )
    text = class_text(stage, method)
    found = accuracy(stage, method, Trained(trained))
    assert found == pytest.approx(by_hand(image, text, held.labels))
    assert found != pytest.approx(by_hand(held.features, text, held.labels))


def test_promptkd_is_tested_by_its_running_statistics(stage):
    (models, held), method = stage, METHODS["promptkd"]
    clip, trained = models.student, learned(models, method)
    width = models.teacher.config.projection
    running = Statistics(0.1 * jnp.ones(width), 0.01 * jnp.ones(width))
    image = encode_image(
        clip.config.vision, clip.params["vision"], pixels(stage), trained.vision
    )
    image = unit(promptkd.project(trained.projector, running, image))
    text = class_text(stage, method)
    assert text.shape == (len(held.dataset.class_names), width)
    found = accuracy(stage, method, Trained(trained, running))
    assert found == pytest.approx(by_hand(image, text, held.labels))


def test_each_image_has_the_text_of_its_own_context(stage):
    (models, held), method = stage, METHODS["cocoop"]
    clip, trained = models.student, learned(models, method)
    names, tower = held.dataset.class_names, clip.config.text
    layout = class_layout(clip.tokenizer, tower, names, method.prompt)
    hits, contexts = [], []
    for image, label in zip(held.features, held.labels, strict=True):
        hidden = image @ trained.down.kernel + trained.down.bias
        shift = np.maximum(hidden, 0) @ trained.up.kernel + trained.up.bias
        contexts.append(trained.context + shift[None])
        text = encode_context(tower, clip.params["text"], layout, contexts[-1])
        hits.append(int(jnp.argmax(text @ image)) == label)
    assert np.ptp(np.stack(contexts), axis=0).max() > 0.1
    found = accuracy(stage, method, Trained(trained))
    assert found == pytest.approx(100 * np.mean(hits))
    assert len(hits) % 16  # the last images do not fill what is encoded at once
