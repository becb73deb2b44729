"""Errors reach the user as one message and exit code 1."""

import errno
import os
import subprocess
import sys
import warnings

import pytest
import typer
from typer.testing import CliRunner

from spacy_llm_tasks.cli._run import describe, friendly


def made_app(error):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    @friendly
    def command(name: str, count: int = 1) -> None:
        """Do it."""
        if error is not None:
            raise error
        typer.echo(name * count)

    return app


def test_commands_keep_their_arguments():
    result = CliRunner().invoke(made_app(None), ["ab", "--count", "2"])
    assert result.exit_code == 0 and result.stdout == "abab\n"
    assert "Do it." in CliRunner().invoke(made_app(None), ["--help"]).stdout


def test_expected_errors_are_one_message():
    for error in (ValueError("what and how"), OSError("what and how"), ImportError("what and how")):
        result = CliRunner().invoke(made_app(error), ["x"])
        assert result.exit_code == 1 and result.stdout == ""
        assert result.stderr == "Error: what and how\n"


def test_debugging_shows_the_error(monkeypatch):
    monkeypatch.setenv("SPACY_LLM_TASKS_DEBUG", "1")
    result = CliRunner().invoke(made_app(ValueError("what")), ["x"])
    assert isinstance(result.exception, ValueError)


def test_mistakes_of_ours_are_not_hidden():
    result = CliRunner().invoke(made_app(ZeroDivisionError()), ["x"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_exits_pass_through():
    assert CliRunner().invoke(made_app(typer.Exit(3)), ["x"]).exit_code == 3
    result = CliRunner().invoke(made_app(typer.BadParameter("odd")), ["x"])
    assert result.exit_code == 2 and "odd" in result.stderr


def test_interruption():
    result = CliRunner().invoke(made_app(KeyboardInterrupt()), ["x"])
    assert result.exit_code == 130 and result.stderr == "Interrupted.\n"


def test_a_reader_that_left():
    result = CliRunner().invoke(made_app(BrokenPipeError(32, "Broken pipe")), ["x"])
    assert result.exit_code == 1 and result.stderr == ""


def test_system_errors_name_the_file(tmp_path):
    try:
        (tmp_path / "absent").read_text()
    except OSError as error:
        assert describe(error) == f"{tmp_path / 'absent'}: No such file or directory"
    assert describe(ValueError()) == "ValueError"


def test_as_a_context_manager_and_with_parentheses(capsys):
    @friendly()
    def command():
        raise ValueError("one")

    def block():
        with friendly():
            raise ValueError("two")

    for run in (command, block):
        try:
            run()
        except typer.Exit as stop:
            assert stop.exit_code == 1
    assert capsys.readouterr().err == "Error: one\nError: two\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_told_with_what_to_do(number):
    reason = os.strerror(number)
    advice = "Free some space and run the command again"
    shown = describe(OSError(number, reason, "out/train.jsonl.gz"))
    assert shown.startswith(f"out/train.jsonl.gz: {reason}. ") and advice in shown
    assert "--resume" in shown
    assert advice in describe(OSError(number, reason))
    # an error of ours says itself what to do
    assert describe(OSError(number, "[E747] Make room.")) == "[E747] Make room."
    assert describe(OSError("[E747] Make room.")) == "[E747] Make room."
    assert advice not in describe(OSError(errno.EACCES, "Permission denied", "out"))


def test_a_full_disk_under_a_library_of_rust():
    """The writer of tensors has errors that are none of the operating system's."""

    class SafetensorError(Exception):
        pass

    error = SafetensorError("I/O error: No space left on device (os error 28)")
    result = CliRunner().invoke(made_app(error), ["x"])
    assert result.exit_code == 1 and "Free some space" in result.stderr
    other = CliRunner().invoke(made_app(SafetensorError("invalid header")), ["x"])
    assert isinstance(other.exception, SafetensorError)


WARN = """
import warnings
from spacy_llm_tasks.cli._run import friendly

@friendly()
def command(depth):
    warnings.warn(f"[W700] Nothing was held out, {depth}.", stacklevel=1)
    warnings.warn(f"somebody else's, {depth}", stacklevel=1)
    if depth:
        command(depth - 1)

command(1)
warnings.warn("[W700] Outside.", stacklevel=1)
"""


def test_our_warnings_are_one_line_each():
    done = subprocess.run([sys.executable, "-c", WARN], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    for depth in (1, 0):
        assert f"Warning: [W700] Nothing was held out, {depth}." in lines
        assert any(f"UserWarning: somebody else's, {depth}" in line for line in lines)
    assert any(line.endswith("UserWarning: [W700] Outside.") for line in lines)
    assert not any("friendly" in line or "line in" in line for line in lines)


def test_the_form_of_warnings_is_restored_after_an_error():
    before = warnings.formatwarning
    inside = []

    @friendly
    def command():
        inside.append(warnings.formatwarning)
        raise ValueError("one")

    with pytest.raises(typer.Exit):
        command()
    assert warnings.formatwarning is before and inside[0] is not before
    assert inside[0](UserWarning("[W123] x"), UserWarning, "a.py", 1) == "Warning: [W123] x\n"
    other = (UserWarning("[W12] x"), UserWarning, "a.py", 1)
    assert inside[0](*other) == before(*other)
