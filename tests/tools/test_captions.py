import numpy as np
import transformers

from fdbpl_jax.clip import tokenizer
from fdbpl_jax.shapes import embedded, world
from tools.pair import captions, pool, vocabulary


def test_captions_use_known_words_only():
    known = set(captions.words())
    said = [caption for fitting in pool.draw_captions(3, seed=1) for caption in fitting]
    assert {w for c in said for w in c.replace(".", " .").split()} <= known


def test_captions_fit_what_is_shown():
    """A caption names the look that its condition turns into the one shown."""
    before = pool.look_before()
    everything = world.looks()
    for c, condition in enumerate(pool.CONDITIONS):
        for shown in range(0, pool.NOTHING, 13):
            assert condition.look(everything[before[c, shown]]) == everything[shown]


def test_batches_hold_the_pictures_asked_for():
    rng = np.random.default_rng(0)
    index = np.repeat(np.arange(pool.NOTHING + 1, dtype=np.int32), 2)
    pixels = np.tile(index.astype(np.uint8)[:, None, None, None], (1, 2, 2, 3))
    shown = np.arange(pool.NOTHING + 1)
    seen, condition = pool.draw_batch(rng, pool.Pictures(pixels, index), shown)
    np.testing.assert_array_equal(
        seen[:, 0, 0, 0], pool.look_before()[condition, shown]
    )


def test_contexts_are_four_tokens():
    words = tokenizer.load_tokenizer(embedded("student"))
    for context in captions.CONTEXTS:
        assert len(tokenizer.word_ids(words, context)) == 4


def test_cut_vocabulary_spells_as_the_full_one(shared_dir, tmp_path):
    full = shared_dir / "tokenizer"
    used = vocabulary.used_merges(vocabulary.read_merges(full), captions.words())
    vocabulary.write_tokenizer(tmp_path, used)
    assert (tmp_path / "vocab.json").read_bytes() == (
        embedded("teacher") / "vocab.json"
    ).read_bytes()
    cut = transformers.CLIPTokenizer.from_pretrained(str(tmp_path))
    whole = transformers.CLIPTokenizer.from_pretrained(str(full))
    said = [caption for fitting in pool.draw_captions(1, seed=2) for caption in fitting]
    for text in said:
        assert cut.tokenize(text) == whole.tokenize(text)


def test_unseen_words_are_spelt_in_bytes():
    words = tokenizer.load_tokenizer(embedded("student"))
    assert words.unk_token_id not in tokenizer.word_ids(words, "quartz Ömer 🙂")
