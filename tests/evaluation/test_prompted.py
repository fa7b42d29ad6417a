"""Trained prompts are tested as what they are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.image import normalise, preprocess
from fdbpl_jax.clip.model import load_clip, unit
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.splits import subset
from fdbpl_jax.evaluation.accuracy import share_correct
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.evaluation.prompted import _cosines, predictions
from fdbpl_jax.evaluation.test_set import HeldOut
from fdbpl_jax.learners import promptkd
from fdbpl_jax.learners.cocoop import COCOOP
from fdbpl_jax.learners.coop import class_layout, encode_context
from fdbpl_jax.learners.learner import Models, Start, Trained, init_prompt
from fdbpl_jax.learners.promptkd import PROMPTKD
from fdbpl_jax.learners.vision import VPT
from fdbpl_jax.methods.published import PROMPT
from fdbpl_jax.shapes import embedded
from fdbpl_jax.shapes.dataset import load_shapes


class Stand(NamedTuple):
    models: Models
    held: HeldOut

    @property
    def names(self):
        return self.held.dataset.class_names


@pytest.fixture(scope="module", name="stand")
def _stand(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score")
    models = Models(*(load_clip(str(embedded(x))) for x in ("student", "teacher")))
    base = subset(load_shapes("shapes-plain", folder / "shapes"), "base")
    examples = base.test[::13]
    labels = np.array([example.label for example in examples], np.int32)
    features = split_features(models.student, base, examples, folder)
    return Stand(models, HeldOut(base, examples, features, labels))


def learned(stand, learner, prompt):
    student, teacher = stand.models
    width = teacher.config.projection
    start = Start(student.config, student.params, student.tokenizer, prompt, 1, width)
    made = init_prompt(jax.random.key(0), learner, start)
    # Strong enough to change the features.
    return jax.tree.map(lambda leaf: 3 * leaf, made)


def classes_of(stand, learner, prompt):
    template = stand.held.dataset.template
    return learner.classes(stand.models, prompt, template, stand.names)


def pixels(stand):
    student, root = stand.models.student, stand.held.dataset.root
    images = [
        preprocess(read_image(root, example.path), student.image)
        for example in stand.held.examples
    ]
    return normalise(student.image, jnp.asarray(np.stack(images)))


def by_hand(image, text, labels):
    return 100 * float(np.mean(np.argmax(image @ np.asarray(text).T, 1) == labels))


def test_prompted_images_are_encoded_under_their_prompts(stand):
    prompt, clip, held = PROMPT["vpt"], stand.models.student, stand.held
    trained = learned(stand, VPT, prompt)
    text = classes_of(stand, VPT, prompt).text
    tower, params = clip.config.vision, clip.params["vision"]
    image = unit(encode_image(tower, params, pixels(stand), trained.vision))
    accuracy = share_correct(
        predictions(stand.models, VPT, prompt, Trained(trained), held), held.labels
    )
    assert accuracy == pytest.approx(by_hand(image, text, held.labels))
    plain = by_hand(held.features, text, held.labels)
    assert accuracy != pytest.approx(plain)


def test_promptkd_is_tested_with_its_running_statistics(stand):
    prompt, clip, held = PROMPT["promptkd"], stand.models.student, stand.held
    trained = learned(stand, PROMPTKD, prompt)
    width = stand.models.teacher.config.projection
    running = promptkd.Statistics(0.1 * jnp.ones(width), 0.01 * jnp.ones(width))
    tower, params = clip.config.vision, clip.params["vision"]
    image = encode_image(tower, params, pixels(stand), trained.vision)
    image = unit(promptkd.project(trained.projector, running, image))
    text = classes_of(stand, PROMPTKD, prompt).text
    assert text.shape == (len(stand.names), width)
    both = Trained(trained, running)
    accuracy = share_correct(
        predictions(stand.models, PROMPTKD, prompt, both, held), held.labels
    )
    assert accuracy == pytest.approx(by_hand(image, text, held.labels))


def test_each_image_has_the_text_of_its_own_context(stand):
    prompt, clip, held = PROMPT["cocoop"], stand.models.student, stand.held
    trained = learned(stand, COCOOP, prompt)
    tower, params = clip.config.text, clip.params["text"]
    layout = class_layout(clip.tokenizer, tower, stand.names, prompt)
    encode = jax.jit(encode_context, static_argnums=0)
    hits, contexts = [], []
    for image, label in zip(held.features, held.labels, strict=True):
        hidden = image @ trained.down.kernel + trained.down.bias
        shift = np.maximum(hidden, 0) @ trained.up.kernel + trained.up.bias
        contexts.append(trained.context + shift[None])
        text = encode(tower, params, layout, contexts[-1])
        hits.append(int(jnp.argmax(text @ image)) == label)
    assert np.ptp(np.stack(contexts), axis=0).max() > 0.1
    accuracy = share_correct(
        predictions(stand.models, COCOOP, prompt, Trained(trained), held), held.labels
    )
    assert accuracy == pytest.approx(100 * np.mean(hits))
    assert len(hits) % 16  # the last images do not fill what is encoded at once


def test_text_by_image_is_multiplied_in_full_float32(stand):
    """A GPU would multiply in TF32 by default, and accuracy depend on the device."""
    prompt, params = PROMPT["cocoop"], stand.models.student.params["text"]
    trained = learned(stand, COCOOP, prompt)
    classes = classes_of(stand, COCOOP, prompt)
    inputs = params, classes, trained, jnp.asarray(stand.held.features[:2])
    lowered = _cosines.lower(COCOOP, stand.models.static, *inputs).as_text()
    products = [line for line in lowered.splitlines() if "dot_general" in line]
    assert len(products) > 10
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)
