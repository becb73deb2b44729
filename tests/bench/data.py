"""Small files in the layouts of the benchmark's sets, and weights of a toy encoder."""

import json
from pathlib import Path

import torch
from pipeline.toys import save_tokenizer

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.weights.checkpoint import save_encoder

NOUNS = ["kettle", "garden", "letter", "engine", "lantern"]


def semeval(n_sentences: int) -> str:
    """Numbered sentences, one in three without a relation."""
    labels = ["Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"]
    blocks = []
    for number in range(1, n_sentences + 1):
        a, b = NOUNS[number % 5], NOUNS[(number + 1) % 5]
        verb = ["made", "came from", "stood near"][number % 3]
        sentence = f"The <e1>{a}</e1> {verb} the <e2>{b}</e2>."
        blocks.append(f'{number}\t"{sentence}"\n{labels[number % 3]}\nComment: invented\n')
    return "\n".join(blocks)


def conll04(n_docs: int) -> str:
    """Documents of a person who lives in a place."""
    blocks = []
    for number in range(n_docs):
        rows = [
            f"0\t{['Ada', 'Ivo', 'Orla'][number % 3]}\tB-Peop\t['Live_In']\t[3]",
            "1\tstays\tO\t['N']\t[1]",
            "2\tin\tO\t['N']\t[2]",
            f"3\t{['Pell', 'Vask'][number % 2]}\tB-Loc\t['N']\t[3]",
        ]
        blocks.append("\n".join([f"#doc {number}", *rows]))
    return "\n".join(blocks) + "\n"


def stsb(n_pairs: int) -> str:
    """Graded pairs."""
    rows = [
        f"x\tx\tx\t{i}\t{i % 6}.0\tA {NOUNS[i % 5]} stands here.\tThere is a {NOUNS[i * 2 % 5]} ."
        for i in range(n_pairs)
    ]
    return "\n".join(rows) + "\n"


def squad(n_paragraphs: int, *, impossible: bool) -> str:
    """Paragraphs with two questions each; the second may have no answer."""
    paragraphs = []
    for number in range(n_paragraphs):
        noun = NOUNS[number % 5]
        context = f"Old Marta sold the {noun} to Ivo in spring."
        first = {"id": f"{number}a", "question": "What did Marta sell?", "is_impossible": False}
        first["answers"] = [{"text": noun, "answer_start": context.index(noun)}]
        second = {"id": f"{number}b", "question": "Who got it?", "is_impossible": impossible}
        ivo = [{"text": "Ivo", "answer_start": context.index("Ivo")}]
        second["answers"] = [] if impossible else ivo
        paragraphs.append({"context": context, "qas": [first, second]})
    return json.dumps({"version": "x", "data": [{"title": "x", "paragraphs": paragraphs}]})


def files() -> dict[str, str]:
    """Contents by path below a data folder."""
    return {
        "re/semeval2010_8/train.txt": semeval(30),
        "re/conll04/train.txt": conll04(12),
        "re/conll04/dev.txt": conll04(4),
        "similarity/stsb/train.tsv": stsb(12),
        "similarity/stsb/dev.tsv": stsb(6),
        "qa/squad1/train.json": squad(6, impossible=False),
        "qa/squad1/dev.json": squad(3, impossible=False),
        "qa/squad2/train.json": squad(6, impossible=True),
        "qa/squad2/dev.json": squad(3, impossible=True),
    }


def write_all(folder: Path) -> Path:
    """Write all files. RETURNS (Path): The data folder."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    return folder


def write_weights(folder: Path) -> Path:
    """Save a random encoder and its tokenizer in the published layout. RETURNS (Path): Where."""
    save_tokenizer(folder)
    torch.manual_seed(0)
    n_pieces = PieceTokenizer.from_folder(folder).n_pieces
    config = TransformerConfig(
        n_pieces=n_pieces, width=16, depth=2, n_heads=2, max_length=512, n_segments=2
    )
    save_encoder(folder, TransformerEncoder(config), family="bert")
    return folder
