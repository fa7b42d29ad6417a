"""Trained prompts are tested as what they are, and exported whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fdbpl_jax.experiments.test_sets import Exam, HeldOut

from fdbpl_jax.clip.image import normalise, preprocess
from fdbpl_jax.clip.model import load_clip, unit
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.splits import subset
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.evaluation.prompted import accuracy
from fdbpl_jax.experiments.assemble import Stage, classes_of
from fdbpl_jax.experiments.cell import trained_values
from fdbpl_jax.learners import promptkd
from fdbpl_jax.learners.coop import class_layout, text_features
from fdbpl_jax.learners.learner import init_prompt
from fdbpl_jax.methods.published import METHOD_PROMPT
from fdbpl_jax.shapes.dataset import load_shapes
from fdbpl_jax.shapes.pair import embedded
from fdbpl_jax.training.state import TrainState
from fdbpl_jax.training.step import final_prompts


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
    return Stage(student, teacher, (Exam(base.name, held, None),), None)


def learned(stage, learner, prompt):
    student = stage.student
    made = init_prompt(
        jax.random.key(0),
        learner,
        student.config,
        student.params,
        student.tokenizer,
        prompt,
        classes=1,
        teacher=stage.teacher.config.projection,
    )
    # Strong enough to change what is seen.
    return jax.tree.map(lambda leaf: 3 * leaf, made)


def held_out(stage):
    return stage.exams[0].base


def pixels(stage):
    held, size = held_out(stage), stage.student.image.size
    root = held.dataset.root
    images = [
        preprocess(read_image(root, example.path), size) for example in held.examples
    ]
    return normalise(stage.student.image, jnp.asarray(np.stack(images)))


def by_hand(image, text, labels):
    return 100 * float(np.mean(np.argmax(image @ np.asarray(text).T, 1) == labels))


def test_prompted_images_are_seen_under_their_prompts(stage):
    prompt, clip = METHOD_PROMPT["vpt"], stage.student
    trained = learned(stage, "vpt", prompt)
    names = held_out(stage).dataset.class_names
    text = classes_of(stage, "vpt", prompt, held_out(stage).dataset, names).text
    image = unit(
        encode_image(
            clip.config.vision, clip.params["vision"], pixels(stage), trained["vision"]
        )
    )
    found = accuracy(stage, "vpt", prompt, trained, held_out(stage))
    assert found == pytest.approx(by_hand(image, text, held_out(stage).labels))
    plain = by_hand(held_out(stage).features, text, held_out(stage).labels)
    assert found != pytest.approx(plain)


def test_promptkd_is_exams_of_its_running_statistics(stage):
    prompt, clip = METHOD_PROMPT["promptkd"], stage.student
    trained = learned(stage, "promptkd", prompt)
    width = stage.teacher.config.projection
    running = {"mean": 0.1 * jnp.ones(width), "variance": 0.01 * jnp.ones(width)}
    image = encode_image(
        clip.config.vision, clip.params["vision"], pixels(stage), trained["vision"]
    )
    image = unit(promptkd.project(trained["projector"], running, image))
    names = held_out(stage).dataset.class_names
    text = classes_of(stage, "promptkd", prompt, held_out(stage).dataset, names).text
    assert text.shape == (len(names), width)
    found = accuracy(
        stage, "promptkd", prompt, trained | {"running": running}, held_out(stage)
    )
    assert found == pytest.approx(by_hand(image, text, held_out(stage).labels))


def test_each_image_has_the_text_of_its_own_context(stage):
    prompt, clip = METHOD_PROMPT["cocoop"], stage.student
    trained = learned(stage, "cocoop", prompt)
    names, tower = held_out(stage).dataset.class_names, clip.config.text
    layout = class_layout(clip.tokenizer, tower, names, prompt)
    hits, contexts = [], []
    for image, label in zip(
        held_out(stage).features, held_out(stage).labels, strict=True
    ):
        hidden = image @ trained["down"]["kernel"] + trained["down"]["bias"]
        shift = np.maximum(hidden, 0) @ trained["up"]["kernel"] + trained["up"]["bias"]
        contexts.append(trained["context"] + shift[None])
        text = text_features(tower, clip.params["text"], layout, contexts[-1])
        hits.append(int(jnp.argmax(text @ image)) == label)
    assert np.ptp(np.stack(contexts), axis=0).max() > 0.1
    found = accuracy(stage, "cocoop", prompt, trained, held_out(stage))
    assert found == pytest.approx(100 * np.mean(hits))
    assert len(hits) % 16  # the last images do not fill what is encoded at once


def state(**parts):
    prompts = {"positive": {"context": jnp.ones((2, 3))}}
    whole = TrainState(jnp.int32(0), prompts, (), {}, {})
    return whole._replace(**parts)


def test_promptsrc_ends_with_its_average():
    average = {"positive": {"context": jnp.full((2, 3), 7.0)}}
    assert final_prompts(state(average=average)) is average
    plain = state()
    assert final_prompts(plain) is plain.prompts


def test_running_statistics_are_exported_but_not_counted():
    running = promptkd.init_running(5)
    found = final_prompts(state(running=running))
    assert found["positive"]["running"] is running
    assert trained_values(found) == 6
    assert trained_values(found | {"negative": {"context": jnp.ones((4, 3))}}) == 18
