"""The model card of a classifier: `README.md` with the Hugging Face front matter."""

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fdbpl_jax.classifier.sources import Source
from fdbpl_jax.classifier.stored import Accuracy, Facts
from fdbpl_jax.clip.hub import is_hub_id
from fdbpl_jax.errors import printable

_CARDS = Environment(
    loader=PackageLoader("fdbpl_jax.classifier"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_LISTED = 200  # class names at most: a card is for reading


def card(name: str, facts: Facts) -> str:
    """The card of a classifier that is called by the name of its folder."""
    return _CARDS.get_template("README.md.j2").render(
        name=name,
        facts=facts,
        names=[_escaped(name) for name in facts.class_names[:_LISTED]],
        left_out=max(0, len(facts.class_names) - _LISTED),
        accuracies={_escaped(k): _percent(v) for k, v in facts.accuracies.items()},
        how={_escaped(k): _escaped(_words(v)) for k, v in facts.how.items()},
        student=_escaped(_model(facts.student)),
        teacher=facts.teacher and _escaped(_model(facts.teacher)),
        front=_front_matter(name, facts),
        needs_path=not _goes_by_name(facts.student),
        data=_escaped(facts.data),
    )


def _front_matter(name: str, facts: Facts) -> str:
    """Metadata as the hub reads it: JSON values, which are YAML."""
    values: dict[str, Any] = {
        "library_name": "fdbpl_jax",
        "pipeline_tag": "image-classification",
        "tags": ["clip", "prompt-learning", facts.method],
    }
    if is_hub_id(facts.student.name):
        values["base_model"] = facts.student.name
    if facts.accuracies:
        data = {"name": facts.data, "type": "custom"}
        results = [
            {
                "task": {"type": "image-classification"},
                "dataset": data,
                "metrics": [
                    {"type": "accuracy", "value": accuracy.percent, "name": what}
                ],
            }
            for what, accuracy in facts.accuracies.items()
        ]
        values["metrics"] = ["accuracy"]
        values["model-index"] = [{"name": name, "results": results}]
    lines = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
    ]
    return "\n".join(lines)


def _goes_by_name(source: Source) -> bool:
    return is_hub_id(source.name) or source.name.startswith("embedded ")


def _model(source: Source) -> str:
    at = f"@{source.revision}" if source.revision else ""
    return f"{source.name}{at} (fingerprint {source.sha256:.12})"


def _percent(accuracy: Accuracy) -> str:
    error = accuracy.standard_error
    if error is None:
        return f"{accuracy.percent:.2f} %"
    images = f"of {accuracy.images} images"
    return f"{accuracy.percent:.2f} ± {error:.2f} % {images}"


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    line = printable(text)
    return "".join(f"\\{c}" if c in r"\`*_[]<>|#&" else c for c in line)
