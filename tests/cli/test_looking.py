"""The commands that show what a checkpoint has learned."""

import json
import random

import pytest
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.cli._units import size
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.presets import preset
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.looking.masks import MaskFiller
from spacy_llm_tasks.pretraining.looking.neighbors import find_neighbors
from spacy_llm_tasks.pretraining.looking.writing import Writer
from spacy_llm_tasks.tokenization import train_tokenizer
from spacy_llm_tasks.weights.checkpoint import save_encoder
from spacy_llm_tasks.weights.decoders import save_decoder
from spacy_llm_tasks.weights.seq2seq import save_seq2seq

SHAPE = {"width": 32, "depth": 1, "n_heads": 2, "max_length": 30, "init_std": 0.3}
WORDS = "the river garden lantern market bridge window quiet and of".split()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each kind."""
    chooser = random.Random(0)
    texts = [" ".join(chooser.choices(WORDS, k=8)) for _ in range(100)]
    tokenizer = train_tokenizer(texts, kind="bpe", size=300)
    root = tmp_path_factory.mktemp("checkpoints")

    def config(kind):
        return preset(kind, "tiny", n_pieces=tokenizer.n_pieces, **SHAPE)

    encoder = TransformerEncoder(config("encoder"))
    head = PieceHead(encoder.config, transform=True, bias=True)
    save_encoder(root / "encoder", encoder, family="modernbert", head=head)
    save_decoder(root / "decoder", TransformerDecoder(config("decoder")))
    both = config("seq2seq")
    save_seq2seq(root / "seq2seq", EncoderDecoder(both, both))
    for kind in ("encoder", "decoder", "seq2seq"):
        tokenizer.to_folder(root / kind)
    return root


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def lines(result):
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines() if line.strip()]


def test_fill_mask(folders):
    text = "the [MASK] of the <mask>"
    expected = MaskFiller(folders / "encoder").fill(text, top=3)
    shown = run("fill-mask", folders / "encoder", text, "--top", 3)
    assert shown.output.splitlines()[0] == expected[0][0].text
    rows = lines(shown)
    for number, mask in enumerate(expected, start=1):
        start = rows.index(["Mask", str(number)])
        assert rows[start + 2 : start + 5] == [[f.name, f"{f.probability:.4f}"] for f in mask]
    printed = run("fill-mask", folders / "encoder", text, "--top", 3, "--json")
    found = json.loads(printed.output)
    assert found["text"] == text
    assert found["masks"] == [[f._asdict() for f in mask] for mask in expected]


def test_continue_with_a_decoder(folders):
    text, folder = "the quiet", folders / "decoder"
    expected = Writer(folder).write(text, max_new=6)
    assert run("continue", folder, text, "--max-new", 6).output == text + expected.text + "\n"
    printed = json.loads(run("continue", folder, text, "--max-new", 6, "--json").output)
    assert printed == {"prompt": text, "kind": "decoder", **expected._asdict()}


def test_continue_with_an_encoder_decoder(folders):
    text, folder = "the [MASK] garden", folders / "seq2seq"
    expected = Writer(folder).write(text, max_new=6)
    assert run("continue", folder, text, "--max-new", 6).output == expected.text + "\n"


def test_chance_is_used_where_an_option_for_it_is(folders):
    folder = folders / "decoder"

    def pieces(*options):
        return json.loads(run("continue", folder, "the", "--json", *options).output)["pieces"]

    writer = Writer(folder)
    assert pieces() == writer.write("the").pieces
    assert pieces("--seed", 3) == writer.write("the", temperature=1.0, seed=3).pieces
    assert pieces("--seed", 3) != pieces()
    assert pieces("--top-k", 3) == writer.write("the", temperature=1.0, top_k=3).pieces
    assert pieces("--top-p", 0.5) == writer.write("the", temperature=1.0, top_p=0.5).pieces
    assert pieces("--temperature", 0, "--top-k", 3) == pieces()
    cooler = writer.write("the", temperature=0.5, seed=3).pieces
    assert pieces("--temperature", 0.5, "--seed", 3) == cooler


def test_neighbors(folders):
    folder, words = folders / "encoder", ["lantern", "riverbridge"]
    expected = find_neighbors(folder, words, top=4)
    shown = run("neighbors", folder, *words, "--top", 4)
    assert "the mean of its pieces" not in shown.output.splitlines()[1]
    assert f"the mean of its pieces {' '.join(expected[1].pieces)}" in shown.output
    rows = lines(shown)
    for near in expected:
        start = next(i for i, row in enumerate(rows) if row[:2] == ["Near", repr(near.word)])
        assert rows[start + 2 : start + 6] == [
            [n.name, f"{n.similarity:.4f}"] for n in near.neighbors
        ]
    printed = json.loads(run("neighbors", folder, *words, "--top", 4, "--json").output)["results"]
    assert [p["word"] for p in printed] == words
    assert [p["neighbors"] for p in printed] == [
        [n._asdict() for n in near.neighbors] for near in expected
    ]


@pytest.mark.parametrize(
    "command, kind, text, code",
    [
        ("fill-mask", "nowhere", "a [MASK]", "E780"),
        ("fill-mask", "decoder", "a [MASK]", "E781"),
        ("fill-mask", "seq2seq", "a [MASK]", "E781"),
        ("fill-mask", "encoder", "the river", "E787"),
        ("fill-mask", "encoder", "", "E783"),
        ("continue", "nowhere", "the", "E780"),
        ("continue", "encoder", "the", "E788"),
        ("continue", "decoder", "", "E783"),
        ("neighbors", "nowhere", "river", "E780"),
        ("neighbors", "encoder", "", "E783"),
    ],
)
def test_mistakes_end_in_one_message(folders, command, kind, text, code):
    result = run(command, folders / kind, text)
    assert result.exit_code == 1
    assert f"Error: [{code}]" in result.output
    assert "Traceback" not in result.output


def test_info(folders):
    for kind in ("encoder", "decoder", "seq2seq"):
        shown = run("info", folders / kind)
        values = json.loads(run("info", folders / kind, "--json").output)
        assert values["kind"] == kind
        rows = lines(shown)
        assert ["kind", kind] in rows and ["family", values["family"]] in rows
        assert ["all", f"{values['parameters']['total']:,}"] in rows
        assert ["depth", *["1"] * len(values["shapes"])] in rows
        assert ["kind", "bpe"] in rows
        assert ["mask", "<mask>", "(4)"] in rows
        for_training = size(16 * values["parameters"]["total"]).split()
        assert ["weights,", "gradients", "and", "AdamW's", "two", "moments", *for_training] in rows
        # a block, 30 pieces (on both sides of an encoder-decoder), keys and values of 32 floats
        kept = {"encoder": None, "decoder": 7680, "seq2seq": 15360}[kind]
        assert values["cache_bytes"] == kept
        row = ["a", "sequence", "of", "30", "pieces", *size(kept or 0).split()]
        assert (row in rows) == (kept is not None)


def test_info_on_the_folder_of_a_run(folders, tmp_path):
    (tmp_path / "model").symlink_to(folders / "encoder")
    result = run("info", tmp_path)
    assert result.exit_code == 1
    assert "E780" in result.output and "Did you mean" in result.output


def test_info_on_sequences_of_a_length(folders):
    shown = run("info", folders / "decoder", "--length", 10)
    assert "in sequences of 10 pieces" in shown.output
    values = json.loads(run("info", folders / "decoder", "--length", 10, "--json").output)
    assert values["flops"]["length"] == 10
    assert run("info", folders / "decoder", "--length", 31).exit_code == 1
