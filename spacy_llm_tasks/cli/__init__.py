"""The command line: one typer command per file, registered here in the order a user needs them."""

import typer

app = typer.Typer(
    name="spacy-llm-tasks",
    help="Weights, data, training and evaluation for spaCy pipelines on a Transformer of their own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
