import dataclasses
import json
import shutil
import socket

import numpy as np
import pytest

from fdbpl_jax.clip.tokenizer import (
    check_tokenizer,
    load_tokenizer,
    refuse_same_tokens,
    tokenize,
    word_ids,
)
from fdbpl_jax.errors import UserError
from fdbpl_jax.shapes import embedded


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a tokenizer from local files must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def tokenizer(tokenizer_dir, no_network):
    return load_tokenizer(tokenizer_dir)


def test_words_become_their_pieces(tokenizer):
    assert word_ids(tokenizer, "a") == [6]
    assert word_ids(tokenizer, "ab Cd") == [0, 7, 2, 9]
    assert word_ids(tokenizer, "  ") == []


def test_texts_are_mended_and_unescaped(tokenizer):
    assert word_ids(tokenizer, "Ｄe&#97;f") == word_ids(tokenizer, "deaf")
    with pytest.raises(UserError, match="special token"):
        word_ids(tokenizer, "a &lt;|endoftext|&gt;")


def test_names_of_the_same_tokens_are_refused():
    """Blanks around a hyphen are no tokens, which the text alone does not say."""
    embedded_tokenizer = load_tokenizer(embedded("student"))
    refuse_same_tokens(embedded_tokenizer, ("red dot", "red-dot", "reddot"), "data")
    with pytest.raises(UserError, match="'red-dot' and 'red - dot' in 'data' read the"):
        refuse_same_tokens(embedded_tokenizer, ("red-dot", "red - dot"), "data")
    refuse_same_tokens(embedded_tokenizer, ("missile", "missile"), "data")


def test_texts_are_framed_and_padded(tokenizer, tiny_config):
    ids = tokenize(tokenizer, ["a", "ab", ""], tiny_config.text)
    assert ids.shape == (3, 77)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(
        ids[:, :4], [[12, 6, 13, 13], [12, 0, 7, 13], [12] + [13] * 3]
    )
    assert (ids[:, 4:] == 13).all()


def test_eos_ends_a_text_whatever_pads_it(tokenizer, tiny_config):
    tokenizer.pad_token = "f"
    ids = tokenize(tokenizer, ["ab"], tiny_config.text)
    assert ids[0].tolist() == [12, 0, 7, 13] + [5] * 73


def test_ids_are_those_of_transformers(tokenizer, tiny_config):
    texts = ["a photo of a cab.", "fade", "bad bed"]
    texts = [t for t in texts if set(t) <= set("abcdef ")]
    theirs = tokenizer(texts, padding="max_length", max_length=77)["input_ids"]
    np.testing.assert_array_equal(tokenize(tokenizer, texts, tiny_config.text), theirs)


def test_one_file_or_two_give_the_same_ids(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").exists()
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink(missing_ok=True)
    again = load_tokenizer(tmp_path)
    assert word_ids(again, "fed ab") == word_ids(tokenizer, "fed ab")
    assert again.eos_token_id == tokenizer.eos_token_id == 13


def test_a_text_too_long_is_named(tokenizer, tiny_config):
    short = dataclasses.replace(tiny_config.text, context_length=5)
    assert tokenize(tokenizer, ["abc"], short).shape == (1, 5)
    with pytest.raises(UserError, match=r"'abcd' is 6 tokens long .* takes 5"):
        tokenize(tokenizer, ["a", "abcd"], short)


@pytest.mark.parametrize("text", ["a <|endoftext|>", "<|startoftext|> b", "a zebra"])
def test_special_and_unknown_characters_are_refused(tokenizer, text):
    with pytest.raises(UserError, match="special token, or a character"):
        word_ids(tokenizer, text)


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_a_directory_without_tokenizer_is_refused(tokenizer_dir, tmp_path, missing):
    path = shutil.copytree(tokenizer_dir, tmp_path / "copy")
    (path / missing).unlink()
    with pytest.raises(UserError, match="no tokenizer in"):
        load_tokenizer(path)


@pytest.fixture
def merging_dir(tokenizer_dir, tmp_path):
    """A vocabulary with the words "ab" and "abc", and the merges that make them."""
    path = shutil.copytree(tokenizer_dir, tmp_path / "merging")
    words = [*"abc", *(letter + "</w>" for letter in "abc"), "ab", "ab</w>", "abc</w>"]
    vocab = {word: i for i, word in enumerate([*words, *SPECIAL])}
    (path / "vocab.json").write_text(json.dumps(vocab))
    (path / "merges.txt").write_text("#version: 0.2\na b\na b</w>\nab c</w>\n")
    return path


SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def test_words_are_made_by_merges(merging_dir):
    tokenizer = load_tokenizer(merging_dir)
    assert word_ids(tokenizer, "abc ab c") == [8, 7, 5]


@pytest.mark.parametrize("form", ["two files", "one file"])
def test_merges_cut_short_are_refused(merging_dir, tmp_path, form):
    path = merging_dir
    if form == "one file":
        path = tmp_path / "saved"
        load_tokenizer(merging_dir).save_pretrained(path)
        content = json.loads((path / "tokenizer.json").read_text())
        del content["model"]["merges"][-1]
        (path / "tokenizer.json").write_text(json.dumps(content))
    else:
        (path / "merges.txt").write_text("#version: 0.2\na b\na b</w>\n")
    with pytest.raises(UserError, match=r"no merge makes 1 of 11 tokens.*'abc</w>'"):
        load_tokenizer(path)


def test_merges_of_another_vocabulary_are_refused(merging_dir):
    (merging_dir / "merges.txt").write_text("#version: 0.2\nb a\n")
    with pytest.raises(UserError, match="cannot be read"):
        load_tokenizer(merging_dir)


def test_added_tokens_need_no_merge(merging_dir, tmp_path):
    tokenizer = load_tokenizer(merging_dir)
    tokenizer.add_tokens(["<cat-toy>"])
    tokenizer.save_pretrained(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").get_vocab()["<cat-toy>"] == 11


def test_a_damaged_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "model": {')
    with pytest.raises(UserError, match="cannot be read"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tokenizer, tiny_config):
    text = tiny_config.text
    check_tokenizer(tokenizer, text)
    check_tokenizer(tokenizer, dataclasses.replace(text, eos_token_id=2))
    with pytest.raises(UserError, match=r"ids up to 13, and .* vocab_size is 13"):
        check_tokenizer(tokenizer, dataclasses.replace(text, vocab_size=13))
    with pytest.raises(UserError, match=r"ends a text with id 13, .* at id 5"):
        check_tokenizer(tokenizer, dataclasses.replace(text, eos_token_id=5))
