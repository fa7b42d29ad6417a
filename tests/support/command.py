"""A command that is called many times in one process, which imports it once.

As a script, `command.py MODULE`: reads calls, a line of JSON each, and answers with
exit status and output.
"""

import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from absl import flags

ROOT = Path(__file__).resolve().parents[2]


class Command:
    """A module's `main` in a process of its own, called as often as need be."""

    def __init__(self, module: str, folder: Path) -> None:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, module],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: object, input: str = "") -> SimpleNamespace:
        """Exit status and output, as `subprocess.run` returns them."""
        request = {"words": [str(word) for word in words], "input": input}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return SimpleNamespace(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def _redirected() -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory() as folder:
        originals = [(number, os.dup(number)) for number in (1, 2)]
        files = [Path(folder, str(number)) for number, _ in originals]
        for (number, _), file in zip(originals, files, strict=True):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
        try:
            yield files
        finally:
            for number, copy in originals:
                os.dup2(copy, number)


def _answer(module, words: list[str], text: str) -> dict:
    sys.argv[:] = ["command", *words]
    sys.stdin = io.StringIO(text)
    for name in list(flags.FLAGS):
        flags.FLAGS[name].unparse()
    with _redirected() as files:
        try:
            module.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush()
        stdout, stderr = (file.read_text() for file in files)
    return {"returncode": status, "stdout": stdout, "stderr": stderr}


def main() -> None:
    module = importlib.import_module(sys.argv[1])
    requests, replies = sys.stdin, os.fdopen(os.dup(1), "w")
    for line in requests:
        request = json.loads(line)
        answer = _answer(module, request["words"], request["input"])
        print(json.dumps(answer), file=replies, flush=True)


if __name__ == "__main__":
    main()
