import jax
import jax.numpy as jnp
import numpy as np
from support import methods_case as case

from fdbpl_jax.learners import cocoop
from fdbpl_jax.learners.cocoop import COCOOP
from fdbpl_jax.learners.learner import Classes


def test_images_taken_a_few_at_a_time_have_the_same_text(monkeypatch):
    text, prompt = case.towers()["text"], case.learned(COCOOP)
    classes = Classes(case.layout(), None)
    image = case.unit(case.normal(30, 7, case.JOINT))

    def encode(prompt):
        return COCOOP.text_features(case.STUDENT, text, classes, prompt, image)

    def gradient(prompt):
        wanted = case.normal(31, 7, case.CLASSES, case.JOINT)
        return jax.jit(jax.grad(lambda p: jnp.sum(encode(p) * wanted)))(prompt)

    together, slope = jax.jit(encode)(prompt), gradient(prompt)
    monkeypatch.setattr(cocoop, "_TOKENS", 3 * cocoop._tokens(classes.layout))
    one_by_one = jax.jit(lambda p: encode(p))(prompt)
    np.testing.assert_allclose(one_by_one, together, atol=2e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient(prompt),
        slope,
    )
