"""Initial prompts of any learner on the embedded student, and checks of them."""

import dataclasses

import jax
import jax.numpy as jnp

from fdbpl_jax.learners.learner import Learner, Start, Student, Trained, init_prompt


def start(clip, learner: Learner, prompt, seed=0):
    """Of three classes, with a teacher nine wide."""
    begin = Start(clip.config, clip.params, clip.tokenizer, prompt, 3, 9)
    return init_prompt(jax.random.key(seed), learner, begin)


def check_depths(clip, learner: Learner, prompt):
    """As many layers are prompted as the towers have, where more are asked for."""
    made = start(clip, learner, prompt)
    text, image = clip.config.text.tower, clip.config.vision.tower
    if "deep" in made._fields:
        assert made.deep.shape[0] == text.layers - 1
    if "vision" in made._fields:
        assert len(made.vision) == image.layers


def check_single_layer(clip, learner: Learner, prompt):
    """Prompts of the first layer alone have no empty array, and see images."""
    prompt = dataclasses.replace(prompt, text_depth=1, image_depth=1)
    made = start(clip, learner, prompt)
    assert made.deep is None
    assert all(leaf.size for leaf in jax.tree.leaves(made))
    pixels = jnp.zeros((2, 32, 32, 3), jnp.uint8)
    student, vision = Student(clip.config, clip.image), clip.params["vision"]
    features, _ = learner.image_features(student, vision, Trained(made), pixels, True)
    assert bool(jnp.isfinite(features).all())
