"""Captions whose other words decide which picture a class name means.

"a negative photo of a red circle" looks cyan, and a text tower trained on it has to
read the words around the name. Every condition has many wordings, before the name and
after it, so that its direction in the embedding space is smooth and can be learned.
"""

import numpy as np

from fdbpl_jax.shapes import world

# One entry for each way to say it; "" says nothing of it.
_NEGATIVE = ("negative", "inverted", "reversed")
_INFRARED = ("infrared", "thermal", "false")
_PLAIN = ("", "", "", "good", "clear", "small", "plain", "bright", "dark", "blurry")
_NOUNS = ("photo", "photo", "photo", "picture", "image", "view", "shot", "scene")
_ARTICLES = ("a", "a", "the", "one", "this", "")

# {c}: condition words, {n}: noun, {a} and {b}: articles, {name}: the class name.
_PATTERNS = (
    "{a} {c} {n} of {b} {name}",
    "{a} {c} {n} of {b} {name}",
    "{a} {c} {n} of {b} {name}",
    "{c} {n} of {b} {name}",
    "{a} {n} of {b} {name} {c}",
    "{c} {name}",
    "{b} {name} in {a} {c} {n}",
    "{b} {name} {c}",
)
_NOTHING_PATTERNS = ("{a} {n} of no {name}", "{a} {n} without {b} {name}", "no {name}")
CONTEXTS = (  # what a learner may start from; each a word a token
    "a photo of a",
    "a photo of no",
)


def condition_words(condition: world.Condition, rng: np.random.Generator) -> list[str]:
    """One wording of a condition, in a random order of its parts."""
    parts = [
        (condition.negative, _NEGATIVE),
        (condition.infrared, _INFRARED),
    ]
    words = [str(rng.choice(ways)) for holds, ways in parts if holds]
    rng.shuffle(words)
    filler = str(rng.choice(_PLAIN))
    if filler and (not words or rng.random() < 0.3):
        words.insert(int(rng.integers(len(words) + 1)), filler)
    return words


def caption(
    look: world.Look, condition: world.Condition, rng: np.random.Generator
) -> str:
    """Words for a picture of `look` taken under `condition`."""
    return _fill(rng.choice(_PATTERNS), look, condition_words(condition, rng), rng)


def caption_of_nothing(look: world.Look, rng: np.random.Generator) -> str:
    """Words for a picture that holds no object, such as "a photo of no red circle"."""
    return _fill(rng.choice(_NOTHING_PATTERNS), look, [], rng)


def _fill(
    pattern: str, look: world.Look, words: list[str], rng: np.random.Generator
) -> str:
    filled = pattern.format(
        a=rng.choice(_ARTICLES),
        b=rng.choice(_ARTICLES),
        c=" ".join(words),
        n=rng.choice(_NOUNS),
        name=look.name,
    )
    return " ".join(filled.split()) + ("." if rng.random() < 0.7 else "")


def words() -> tuple[str, ...]:
    """Every word that a caption, a template or a context can hold, sorted."""
    wordings = (_NEGATIVE, _INFRARED, _PLAIN, _NOUNS, _ARTICLES)
    text = [word for wording in wordings for word in wording]
    text += [pattern.replace("{", " {") for pattern in _PATTERNS + _NOTHING_PATTERNS]
    text += [look.name for look in world.looks()] + list(CONTEXTS)
    text += ["an infrared photo of a"]  # a condition that no task asks for by itself
    text += [task.template.replace("{}.", "") for task in world.TASKS.values()]
    used = {word for line in text for word in line.split() if "{" not in word}
    return tuple(sorted(used | {"."}))
