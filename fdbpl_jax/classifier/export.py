"""Learned prompts for other machines and programs.

  python -m fdbpl_jax.classifier.export EXPORT --out=FOLDER
  python -m fdbpl_jax.classifier.export EXPORT --out=FOLDER --to=stablehlo

EXPORT is the `export` folder of a finished cell or of an imported context, or for
stablehlo a classifier folder. `safetensors` makes a classifier folder.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import refuse_existing, write_classifier
from fdbpl_jax.classifier.made import made_of
from fdbpl_jax.classifier.stablehlo import write_stablehlo
from fdbpl_jax.cli import path_flag, run_app, show
from fdbpl_jax.data.open_dataset import open_by_flag
from fdbpl_jax.errors import UserError

_OUT = path_flag("out", None, "Folder to make.")
_TO = flags.DEFINE_enum(
    "to", "safetensors", ["safetensors", "stablehlo"], "What is made."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace what an earlier export made there."
)
_REJECT_BY = path_flag(
    "reject_by", "", "Data whose validation images set when to say no; see `evaluate`."
)
_DATA_ROOT = path_flag("data_root", "", "The folder that holds the data, if a name.")
_STUDENT = path_flag("student", "", "Where the student is now, if elsewhere.")
_TEACHER = path_flag("teacher", "", "The same of PromptKD's teacher.")


def _rejection(classifier: Classifier) -> list[float]:
    """Rejection scores of the validation images that --reject_by names."""
    if not _REJECT_BY.value:
        return []
    dataset = open_by_flag(_REJECT_BY.value, _DATA_ROOT.value)
    names = dataset.class_names
    images = [
        dataset.root / example.path
        for example in dataset.val
        if names[example.label] in classifier.class_names
    ]
    scores = [said.rejection for said in classifier.predict(images, top=1)]
    if not scores or None in scores:
        wrong = "no validation image of the classes" if not scores else "no score"
        raise UserError(
            f"--reject_by={_REJECT_BY.value} gives {wrong}",
            "It takes validation images and prompts with a negative one (FDBPL's).",
        )
    return [score for score in scores if score is not None]


def _command(words: Sequence[str]) -> None:
    if len(words) != 1:
        raise UserError(
            f"one export is needed, {len(words)} are named", "Give its folder."
        )
    out, export = Path(_OUT.value), Path(words[0]).expanduser()
    if _TO.value == "stablehlo":
        classifier = Classifier.load(words[0], _STUDENT.value, _TEACHER.value)
        write_stablehlo(out, classifier, _OVERWRITE.value)
        show(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
        return
    refuse_existing(out, _OVERWRITE.value)
    classifier = Classifier.load(words[0], _STUDENT.value, _TEACHER.value)
    if classifier.opened.stored is not None:
        raise UserError(
            f"'{words[0]}' is a classifier folder already: its classifier.safetensors "
            "is what this makes",
            "Copy the folder, or give --to=stablehlo.",
        )
    made = made_of(export, _rejection(classifier))
    write_classifier(out, export, made, _OVERWRITE.value, classifier)
    tested = [f"{what}: {a.percent:.2f} %" for what, a in made.accuracies.items()]
    show("\n".join([f"{out}: {len(classifier.class_names)} classes", *tested]))


def main() -> None:
    """Run the command of `sys.argv`."""
    words: list[str] = []
    run_app(lambda: _command(words), required=("out",), words=words)


if __name__ == "__main__":
    main()
