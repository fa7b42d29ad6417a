"""Bad values of every flag of every command: one message, status 2, before any work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tests" / "support" / "bad_flags.py"
PAPER = "fdbpl_jax.paper.__main__."
RUNS = "fdbpl_jax.paper.runs."
OPENED = "fdbpl_jax.classifier.classifier.open_prompts"
COMMANDS = {
    "main": (
        "fdbpl_jax.main",
        "fdbpl_jax.experiments.run.load_inputs,fdbpl_jax.experiments.plan.load_inputs",
        f"--config={ROOT / 'configs' / 'base2new.py'}",
    ),
    "ril build": (
        *("fdbpl_jax.ril.__main__", "fdbpl_jax.ril.__main__.load_clip"),
        *("build", "--path=table"),
    ),
    "ril show": (
        *("fdbpl_jax.ril.__main__", "fdbpl_jax.ril.__main__.draw_table"),
        *("show", "--path=table"),
    ),
    "data check": (
        *("fdbpl_jax.data.__main__", "fdbpl_jax.data.__main__.check_dataset"),
        *("check", "--root=data"),
    ),
    "methods": (
        *("fdbpl_jax.methods.__main__", "fdbpl_jax.methods.__main__.trained_values"),
    ),
    "paper run": (
        "fdbpl_jax.paper.__main__",
        f"{RUNS}start,{RUNS}draw,{PAPER}write_paper",
        *("run", "figure9"),
    ),
    "paper cases": (
        *("fdbpl_jax.paper.__main__", f"{PAPER}cases"),
        *("cases", "--cell=cell", "--other=other"),
    ),
    "import_torch": (
        *("fdbpl_jax.interop.import_torch", "fdbpl_jax.interop.import_torch.load_clip"),
        *("--checkpoint=c", "--student=s", "--class_names=n", "--export=e"),
    ),
    "predict": ("fdbpl_jax.classifier.predict", OPENED, "export", "a.jpg"),
    "evaluate": ("fdbpl_jax.classifier.evaluate", OPENED, "export", "dtd"),
    "export": ("fdbpl_jax.classifier.export", OPENED, "export", "--out=o"),
    "serve": (
        "fdbpl_jax.serve.__main__",
        "fdbpl_jax.serve.server.serve",
        "classifier",
    ),
    "learn": (
        "fdbpl_jax.learning.__main__",
        "fdbpl_jax.learning.learn.load_inputs",
        "shapes-plain",
    ),
}
NUMBERS = {"main": 40, "ril build": 10, "paper run": 3}  # flags of numbers, at least


# Of the kinds that the others have.
SLOW = "ril build", "learn", "predict", "evaluate", "export", "serve"


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=[pytest.mark.slow] * (c in SLOW)) for c in COMMANDS],
)
def test_a_bad_value_ends_in_one_message_before_any_work(command, tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    done = subprocess.run(
        [sys.executable, SCRIPT, *COMMANDS[command]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    calls = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({flag for flag, is_number, *_ in calls if is_number}) >= NUMBERS.get(
        command, 0
    )
    for flag, is_number, value, status, errors in calls:
        # A text may be a name that exists; a number here is none.
        allowed = (2,) if is_number else (2, "work")
        assert status in allowed, (flag, value, status, errors)
        if status == 2:
            assert errors.startswith("error: "), (flag, value, errors)
            assert errors.count("\n") == 1, (flag, value, errors)
            assert errors[:-1].isprintable(), (flag, value, errors)
            assert len(errors) < 5000, (flag, value, len(errors))
