"""`python -m fdbpl_jax.paper`: words and flags in, files out, or one clear message."""

import sys

import pytest
from absl import flags
from support.cells import cell
from support.paper_reports import write

from fdbpl_jax.paper import __main__ as command


@pytest.fixture(name="made")
def _made(monkeypatch):
    """Names and options of what is made, in place of making it; "table4" fails."""
    calls = []

    def make(names, options):
        calls.append((names, options))
        return ["table4 ms"] if "table4" in names else []

    monkeypatch.setattr(command, "make", make)
    return calls


@pytest.fixture(name="call")
def _call(monkeypatch, capsys):
    """Runs the command; its exit status and what it printed as an error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["paper", *words])
        with pytest.raises(SystemExit) as ended:
            command.main()
        return ended.value.code or 0, capsys.readouterr().err

    yield call
    flags.FLAGS.unparse_flags()
    for name in ("workdir", "datasets", "keeps", "cell"):
        flags.FLAGS[name].unparse()
    flags.FLAGS.mark_as_parsed()


def finish(workdir):
    write(workdir, "table2", [cell("dtd", "coop", 1, 60.0, 50.0, 1.0, 0.1, 8, 0)])


def test_words_are_names_and_what_follows_two_dashes_goes_on(call, made, tmp_path):
    finish(tmp_path)
    words = ["run", "table2", "figure9", f"--workdir={tmp_path}", "--keeps=1,2"]
    assert call(*words, "--", "--config.seeds=1", "run") == (0, "")
    ((names, options),) = made
    assert names == ["table2", "figure9"]
    assert options.keeps == ["1", "2"]
    assert options.flags == ["--config.seeds=1", "run"]
    for name in ("table2", "figure8", "paper"):
        assert (tmp_path / "paper" / f"{name}.md").exists()
    assert (tmp_path / "paper" / "figure8.png").read_bytes()[1:4] == b"PNG"
    assert "Table 2" in (tmp_path / "paper" / "paper.html").read_text()


def test_a_failure_is_said_after_the_page_is_made(call, made, tmp_path):
    finish(tmp_path)
    status, error = call("run", "table4", f"--workdir={tmp_path}")
    assert status == 2
    assert "not everything could be made: table4 ms" in error
    assert (tmp_path / "paper" / "paper.html").exists()


def test_a_page_that_cannot_be_made_hides_no_failure(call, made, tmp_path):
    status, error = call("run", "table4", f"--workdir={tmp_path}")
    assert status == 2
    assert "table4 ms, the page (nothing of the paper was run" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["page"], "nothing of the paper was run"),
        (["page", "table2"], "`page` takes no 'table2'"),
        (["attention", "table2", "--cell=c"], "`attention` takes no 'table2'"),
        (["attention"], "--cell is missing"),
        (["cases", "--cell=c"], "no cell to compare with is named"),
        (["attention", "--cell=c"], "c"),
        (["draw"], "unknown command 'draw'"),
        ([], "unknown command ''"),
    ],
)
def test_what_is_no_command_is_refused(call, made, tmp_path, words, message):
    status, error = call(*words, f"--workdir={tmp_path}")
    assert status == 2
    assert message in error
    assert made == []
