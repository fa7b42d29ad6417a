"""Regions of a picture are those of a table, weighed by equation 6."""

import base64
import hashlib

import numpy as np
import pytest
from support.exports import NAMES
from support.serving import picture, png

from fdbpl_jax.clip.model import image_features, logit_scale, text_features
from fdbpl_jax.config import CropConfig
from fdbpl_jax.ril.regions import crop_region, draw_regions


def by_hand(teacher, image, content, names, count=6):
    """Box, flip, weight, label and probability of each region, in float64."""
    key = hashlib.sha256(content).hexdigest()
    size = image.height, image.width
    boxes, flips = draw_regions(CropConfig(), 0, key, size, range(count))
    text = np.asarray(text_features(teacher, [f"a photo of a {n}." for n in names]))
    for box, flip in zip(boxes, flips.tolist(), strict=True):
        pixels = crop_region(image, box, flip, teacher.image.size)
        (feature,) = np.asarray(image_features(teacher, pixels[None]))
        logits = logit_scale(teacher) * (text.astype(np.float64) @ feature)
        share = np.exp(logits - logits.max())
        share /= share.sum()
        entropy = -(share * np.log(share + 1e-6)).sum()
        weight = np.clip(1 - entropy / np.log(len(names)), 0, 1)
        best = int(share.argmax())
        yield tuple(box.tolist()), flip, weight, names[best], share[best]


def check(answer, rows):
    rows = sorted(rows, key=lambda row: -row[2])
    assert len(answer["regions"]) == len(rows)
    for region, (box, flip, weight, label, share) in zip(
        answer["regions"], rows, strict=True
    ):
        assert tuple(region[x] for x in ("top", "left", "height", "width")) == box
        assert (region["flip"], region["label"]) == (flip, label)
        assert region["weight"] == pytest.approx(weight, abs=1e-4)
        assert region["probability"] == pytest.approx(share, abs=1e-3)


def test_regions_of_a_form_among_the_learned_classes(client, teacher):
    image = picture(4, (90, 50))
    content = png(image)
    answer = client.post("/regions", files=[("image", ("a.png", content))])
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["width"], said["height"]) == (90, 50)
    check(said, by_hand(teacher, image, content, NAMES))
    weights = [region["weight"] for region in said["regions"]]
    assert weights == sorted(weights, reverse=True)
    again = client.post("/regions", files=[("image", ("b.png", content))])
    assert again.json() == said


def test_regions_in_json_among_other_names(client, teacher):
    image, names = picture(5), ("a cat", "a dog", "a hat")
    content = png(image)
    text = base64.b64encode(content).decode()
    answer = client.post("/regions", json={"images": [text], "classes": names})
    check(answer.json(), by_hand(teacher, image, content, names))


def test_regions_are_of_a_single_image(client):
    content = png(picture())
    two = [("image", ("a.png", content)), ("image", ("b.png", content))]
    answer = client.post("/regions", files=two)
    assert answer.status_code == 422
    assert answer.json() == {"error": "regions are those of a single image"}
