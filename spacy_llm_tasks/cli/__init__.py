"""The command line: one typer command per file, registered here in the order a user needs them."""

import typer

app = typer.Typer(
    name="spacy-llm-tasks",
    help="Weights, data, training and evaluation for spaCy pipelines on their own Transformer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    # Without a callback typer drops the command's name while there is only one command.
    pass


from . import (  # noqa: E402
    adopt,
    annotate,
    ask,
    bench,
    calibrate,
    continue_text,
    convert,
    corpus,
    evaluate,
    export,
    fill_mask,
    info,
    neighbors,
    precision,
    pretrain,
    quantize,
    render,
    report,
    search,
    tokenizer,
    train,
    weights,
)

app.add_typer(weights.app, name="weights")
app.command("convert")(convert.command)
app.command("corpus")(corpus.command)
app.add_typer(tokenizer.app, name="tokenizer")
app.command("pretrain", context_settings=pretrain.CONTEXT)(pretrain.command)
app.command("fill-mask")(fill_mask.command)
app.command("continue")(continue_text.command)
app.command("neighbors")(neighbors.command)
app.command("adopt", context_settings=adopt.CONTEXT)(adopt.command)
app.command("train", context_settings=train.CONTEXT)(train.command)
app.command("calibrate")(calibrate.command)
app.command("evaluate", context_settings=evaluate.CONTEXT)(evaluate.command)
app.command("precision")(precision.command)
app.command("quantize")(quantize.command)
app.command("report")(report.command)
app.command("render")(render.command)
app.command("export")(export.command)
app.command("annotate")(annotate.command)
app.add_typer(search.app, name="search")
app.command("ask")(ask.command)
app.command("info")(info.command)
app.add_typer(bench.app, name="bench")
