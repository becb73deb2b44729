"""Errors reach the user as one message and exit code 1."""

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
