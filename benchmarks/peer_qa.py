"""The peer of question answering: `AutoModelForQuestionAnswering` of transformers.

Question and text are read together, in windows of 384 pieces of which 128 overlap; the answer is
the best span of at most 30 pieces in any window, among the 20 best starts and ends of each. "No
answer" is the first position: it is learned for windows without the answer, and given where its
lowest score over the windows is above that of the best span, as in the library's own example of
SQuAD 2.0 (Devlin et al. 2019, section 4.3).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import spacy
import torch
from torch_loop import OPTIMIZER, fit
from trained import Trained, device, need

from spacy_llm_tasks.annotations import Question, get_questions
from spacy_llm_tasks.bench.loop import Outcome, Progress, Stopwatch
from spacy_llm_tasks.bench.records import RunKey
from spacy_llm_tasks.bench.sets import BenchSet
from spacy_llm_tasks.bench.tasks import numbers
from spacy_llm_tasks.scoring.squad import score_squad

MAX_LENGTH, OVERLAP, MAX_PIECES, N_BEST = 384, 128, 30, 20
WINDOWS_PER_RUN = 32


class Window(NamedTuple):
    """A part of a text that the model reads in one go, after its question.

    owner (int): The number of the question.
    inputs (dict): Piece ids, segments and attention mask, as lists.
    places (list): For each piece the characters of the text it covers; None for other pieces.
    """

    owner: int
    inputs: dict[str, list[int]]
    places: list[tuple[int, int] | None]


class Found(NamedTuple):
    """The best span of a question: its text, its score, and the score of "no answer"."""

    text: str
    score: float
    null: float


def run(item: BenchSet, key: RunKey, *, data: Path, weights: Path, progress: Progress) -> Trained:
    """Train on questions and score the last weights.

    item (BenchSet): The set.
    key (RunKey): Seed and learning rate.
    data (Path): Folder of the benchmark data.
    weights (Path): Folder of a checkpoint.
    progress (Progress): Called after every update.
    RETURNS (Trained): The result.
    """
    library = need("transformers")
    train, dev = item.read(data, spacy.blank("en"), seed=key.seed)
    spacy.util.fix_random_seed(key.seed)
    outcome, watch = Outcome(), Stopwatch()
    tokenizer = library.AutoTokenizer.from_pretrained(str(weights))
    model = library.AutoModelForQuestionAnswering.from_pretrained(str(weights)).to(device())
    questions = [get_questions(doc)[0] for doc in train]  # one to each doc
    windows: list[list[Window]] = [[] for _ in train]
    for window in cut(tokenizer, questions, [doc.text for doc in train]):
        windows[window.owner].append(window)

    def loss_of(batch: Sequence[int]) -> torch.Tensor:
        chosen = [window for i in batch for window in windows[i]]
        gold = torch.tensor([answer_pieces(w, questions[w.owner]) for w in chosen]).to(device())
        inputs = pad(tokenizer, chosen)
        return model(**inputs, start_positions=gold[:, 0], end_positions=gold[:, 1]).loss

    fit(
        model,
        loss_of,
        n_docs=len(train),
        item=item,
        learn_rate=key.learn_rate,
        seed=key.seed,
        progress=progress,
    )
    outcome.seconds.update(watch.read("train"))
    asked = [(question, doc.text) for doc in dev for question in get_questions(doc)]
    found = answers(model, tokenizer, [q for q, _ in asked], [text for _, text in asked])
    may_refuse = any(not question.answers for question in questions)
    scores = scores_of([question for question, _ in asked], found, may_refuse=may_refuse)
    outcome.scores.update(numbers(scores, needed=item.score))
    outcome.seconds.update(watch.read("eval"))
    settings = {
        "library": "transformers",
        "max_length": MAX_LENGTH,
        "overlap": OVERLAP,
        "max_pieces": MAX_PIECES,
        "n_best": N_BEST,
        "dropout": "of the checkpoint",
        "optimizer": OPTIMIZER,
    }
    return Trained(outcome, settings, train, dev)


def cut(tokenizer: Any, questions: Sequence[Question], texts: Sequence[str]) -> list[Window]:
    """Lay out questions and texts in windows.

    tokenizer: The library's fast tokenizer.
    questions (Sequence[Question]): The questions.
    texts (Sequence[str]): The text of each.
    RETURNS (list[Window]): The windows, in the order of the questions.
    """
    encoded = tokenizer(
        [question.question.strip() for question in questions],
        list(texts),
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=OVERLAP,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    names = tokenizer.model_input_names
    return [
        Window(
            owner,
            {name: encoded[name][i] for name in names},
            [
                place if part == 1 else None
                for part, place in zip(
                    encoded.sequence_ids(i), encoded["offset_mapping"][i], strict=True
                )
            ],
        )
        for i, owner in enumerate(encoded["overflow_to_sample_mapping"])
    ]


def answer_pieces(window: Window, question: Question) -> tuple[int, int]:
    """RETURNS (tuple[int, int]): First and last piece of the answer, 0 and 0 if the window does not
    hold all of it."""
    if not question.answers:
        return 0, 0
    answer = question.answers[0]
    start, end = answer.start, answer.start + len(answer.text)
    inside = [
        piece
        for piece, place in enumerate(window.places)
        if place is not None and place[0] < end and start < place[1]
    ]
    if not inside:
        return 0, 0
    first, last = window.places[inside[0]], window.places[inside[-1]]
    return (inside[0], inside[-1]) if first[0] <= start and end <= last[1] else (0, 0)


def pad(tokenizer: Any, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
    """RETURNS (dict[str, Tensor]): The windows as one batch, padded to the longest of them."""
    padded = tokenizer.pad([window.inputs for window in windows], return_tensors="pt")
    return padded.to(device())


def answers(
    model: Any, tokenizer: Any, questions: Sequence[Question], texts: Sequence[str]
) -> list[Found]:
    """Look for the best span of each question over its windows.

    model: The trained model.
    tokenizer: The library's fast tokenizer.
    questions (Sequence[Question]): The questions.
    texts (Sequence[str]): The text of each.
    RETURNS (list[Found]): One for each question.
    """
    windows = cut(tokenizer, questions, texts)
    windows.sort(key=lambda window: len(window.places))  # little padding
    found = [Found("", -np.inf, np.inf) for _ in questions]
    for at in range(0, len(windows), WINDOWS_PER_RUN):
        chosen = windows[at : at + WINDOWS_PER_RUN]
        with torch.no_grad():
            output = model(**pad(tokenizer, chosen))
        starts, ends = output.start_logits.cpu().numpy(), output.end_logits.cpu().numpy()
        for row, window in enumerate(chosen):
            size = len(window.places)
            best = found[window.owner]
            null = min(best.null, float(starts[row, 0] + ends[row, 0]))
            score, span = best_span(window, starts[row, :size], ends[row, :size])
            if span is not None and score > best.score:
                text = texts[window.owner][slice(*span)]
                found[window.owner] = Found(text, score, null)
            else:
                found[window.owner] = best._replace(null=null)
    return found


def best_span(
    window: Window, starts: np.ndarray, ends: np.ndarray
) -> tuple[float, tuple[int, int] | None]:
    """RETURNS (tuple): Score and characters of the best span of a window; none if no span among the
    best starts and ends is allowed."""
    first, last = (np.argsort(-scores)[:N_BEST].tolist() for scores in (starts, ends))
    allowed = [
        (float(starts[a] + ends[z]), (window.places[a][0], window.places[z][1]))
        for a in first
        for z in last
        if window.places[a] is not None and window.places[z] is not None and a <= z < a + MAX_PIECES
    ]
    return max(allowed, key=lambda pair: pair[0], default=(-np.inf, None))


def scores_of(
    questions: Sequence[Question], found: Sequence[Found], *, may_refuse: bool
) -> dict[str, float | None]:
    """Score answers as our component scores its own.

    questions (Sequence[Question]): The questions.
    found (Sequence[Found]): Their best spans.
    may_refuse (bool): Whether "no answer" is an answer.
    RETURNS (dict): As `score_squad`.
    """
    # A question's name need not be unique over several files: its number is.
    asked = [question._replace(id=str(i)) for i, question in enumerate(questions)]
    best = {str(i): one.text for i, one in enumerate(found)}
    if not may_refuse and all(question.answers for question in asked):
        return score_squad(asked, best, version="1.1")
    refusals = {str(i): one.null - one.score if one.text else 0.0 for i, one in enumerate(found)}
    given = {name: "" if refusals[name] > 0 else text for name, text in best.items()}
    scores = score_squad(asked, given, version="2.0")
    with_all = score_squad(asked, best, version="2.0", no_answer_scores=refusals)
    return scores | {k: v for k, v in with_all.items() if k.startswith("qa_best")}
