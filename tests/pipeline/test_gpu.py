"""What only a machine with a CUDA device can show: run with `pytest -m gpu`."""

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from thinc.api import NumpyOps, get_current_ops, set_current_ops, to_numpy, torch2xp, xp2torch

from spacy_llm_tasks.layers.doc_encoder import ROWS_PER_PASS
from spacy_llm_tasks.training.optimizer import make_adamw

from . import toys
from .battery import cases
from .toys import TEXTS, TRF_LISTENER, empty_pipeline, examples, initialize, snapshot

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
PRECISION = "components.transformer.model.precision"


@pytest.fixture(autouse=True)
def on_gpu():
    before = get_current_ops()
    spacy.require_gpu()
    yield
    set_current_ops(before)


def trained(tokenizer, *, steps=30):
    nlp = empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner")
    nlp.add_pipe("trf_textcat")
    nlp.add_pipe("tagger", config={"model": {"tok2vec": TRF_LISTENER}})
    optimizer = initialize(nlp)
    for _ in range(steps):
        nlp.update(examples(nlp), sgd=optimizer, drop=0.0)
    return nlp


def encoder_of(nlp):
    return nlp.get_pipe("transformer").model.shims[0].module


def assert_close(found, expected, atol):
    """Equal labels and places, and numbers that differ by rounding alone."""
    assert type(found) is type(expected) or isinstance(expected, int | float)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(found[key], value, atol)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, atol)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=atol)
    else:
        assert found == expected


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_every_component_learns_and_predicts_on_the_device(case, tokenizer, tmp_path):
    nlp = case.build(tokenizer)
    toys.overfit(nlp, steps=case.steps, drop=0.0)
    assert {p.device.type for p in encoder_of(nlp).parameters()} == {"cuda"}
    scores = nlp.evaluate(examples(nlp))
    # spaCy's parser with an upper layer learns nothing on a GPU (3.8.18, CuPy 14.2), on spaCy's own
    # tok2vec no more than on ours.
    learned = [name for name in case.scores if case.ours or name != "ents_f"]
    assert [scores[name] for name in learned] == pytest.approx([1.0] * len(learned))
    found = [snapshot(doc) for doc in nlp.pipe([*TEXTS, *toys.ODD_TEXTS])]
    alone = [snapshot(nlp(text)) for text in TEXTS]
    assert_close(alone, found[: len(TEXTS)], 1e-4)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert_close([snapshot(doc) for doc in loaded.pipe(TEXTS)], found[: len(TEXTS)], 1e-6)
    set_current_ops(NumpyOps())
    on_cpu = spacy.load(tmp_path)
    assert_close([snapshot(doc) for doc in on_cpu.pipe([*TEXTS, *toys.ODD_TEXTS])], found, 1e-3)


def test_bytes_go_from_the_device_to_the_cpu_and_back(tokenizer):
    nlp = trained(tokenizer, steps=3)
    expected = [to_numpy(doc.tensor) for doc in nlp.pipe(TEXTS)]
    saved = nlp.to_bytes()  # by spaCy's rule, on the device where the pipeline is
    set_current_ops(NumpyOps())
    on_cpu = trained(tokenizer, steps=0).from_bytes(saved)
    found = [doc.tensor for doc in on_cpu.pipe(TEXTS)]
    assert all(isinstance(rows, np.ndarray) for rows in found)
    saved = on_cpu.to_bytes()
    spacy.require_gpu()
    back = trained(tokenizer, steps=0).from_bytes(saved)
    for rows, mine, theirs in zip(expected, found, back.pipe(TEXTS), strict=True):
        np.testing.assert_allclose(mine, rows, atol=1e-4)
        np.testing.assert_allclose(to_numpy(theirs.tensor), rows, atol=1e-6)


def test_rows_go_from_torch_to_cupy_without_a_copy(tokenizer):
    nlp = trained(tokenizer, steps=1)
    docs = [nlp.make_doc(text) for text in TEXTS]
    encoder = nlp.get_pipe("transformer")
    rows = next(iter(encoder.predict(docs).values()))[0]
    import cupy

    assert isinstance(rows, cupy.ndarray)
    assert xp2torch(rows).data_ptr() == rows.data.ptr
    assert torch2xp(xp2torch(rows)).data.ptr == rows.data.ptr
    encoder.set_annotations(docs, encoder.predict(docs))
    assert isinstance(docs[0].tensor, cupy.ndarray)
    doc = Doc(nlp.vocab).from_bytes(docs[0].to_bytes())
    np.testing.assert_array_equal(to_numpy(doc.tensor), to_numpy(docs[0].tensor))


def test_gradients_equal_those_of_the_cpu(tokenizer):
    nlp = trained(tokenizer, steps=2)
    on_gpu = gradients(nlp)
    saved = nlp.to_bytes()
    set_current_ops(NumpyOps())
    on_cpu = gradients(trained(tokenizer, steps=0).from_bytes(saved))
    assert on_gpu.keys() == on_cpu.keys() and len(on_gpu) > 10
    for name, gradient in on_cpu.items():
        np.testing.assert_allclose(on_gpu[name], gradient, atol=1e-4, rtol=1e-3)


class Recorder:
    """In an optimizer's place: keeps the gradients and steps nothing."""

    def __init__(self):
        self.seen = {}

    def __call__(self, key, weights, gradient, **options):
        self.seen[key[1]] = to_numpy(gradient).copy()
        return weights, gradient


def gradients(nlp):
    """Those of the encoder's parameters in one step, by name."""
    nlp.update(examples(nlp), sgd=False, drop=0.0)
    recorder = Recorder()
    for _, component in nlp.pipeline:
        component.finish_update(recorder if component.name == "transformer" else Recorder())
    return recorder.seen


def test_activations_worked_out_again_give_the_same_gradients(tokenizer):
    nlp = trained(tokenizer, steps=2)
    whole = gradients(nlp)
    encoder_of(nlp).recompute_rows = 8
    parts = gradients(nlp)
    for name, gradient in whole.items():
        np.testing.assert_allclose(parts[name], gradient, atol=1e-5, rtol=1e-3)


def test_training_in_bfloat16_is_near_float32(tokenizer):
    nlp = trained(tokenizer, steps=2)
    exact = gradients(nlp)
    encoder_of(nlp).training_precision = "bf16"
    for name, gradient in gradients(nlp).items():
        assert gradient.dtype == np.float32
        away = np.linalg.norm(gradient - exact[name])
        assert away < 0.1 * np.linalg.norm(exact[name]) + 1e-3, name


def test_compiled_blocks_give_the_same_gradients(tokenizer):
    nlp = trained(tokenizer, steps=2)
    expected, rows = gradients(nlp), to_numpy(nlp(TEXTS[0]).tensor)
    encoder_of(nlp).compile_blocks()
    for name, gradient in gradients(nlp).items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(to_numpy(nlp(TEXTS[0]).tensor), rows, atol=1e-4)


def test_averages_stay_on_the_device(tokenizer):
    nlp = trained(tokenizer, steps=0)
    optimizer = make_adamw(0.01, average_decay=0.9, start_share=0.2)
    for _ in range(3):
        nlp.update(examples(nlp), sgd=optimizer)
    assert {type(array) for array in optimizer.averages.values()} == {get_current_ops().xp.ndarray}
    own = [snapshot(doc) for doc in nlp.pipe(TEXTS)]
    with nlp.use_params(optimizer.averages):
        assert [snapshot(doc) for doc in nlp.pipe(TEXTS)] != own
        assert {p.device.type for p in encoder_of(nlp).parameters()} == {"cuda"}
    assert [snapshot(doc) for doc in nlp.pipe(TEXTS)] == own


def test_bf16_on_the_device_is_near_float32(tokenizer, tmp_path):
    nlp = trained(tokenizer, steps=3)
    nlp.to_disk(tmp_path)
    exact = [to_numpy(doc.tensor) for doc in spacy.load(tmp_path).pipe(TEXTS)]
    fast = spacy.load(tmp_path, config={PRECISION: "bf16"})
    for rows, doc in zip(exact, fast.pipe(TEXTS), strict=True):
        assert 0 < np.abs(to_numpy(doc.tensor) - rows).max() < 0.05


def test_int8_is_refused_on_the_device(tokenizer, tmp_path):
    trained(tokenizer, steps=1).to_disk(tmp_path)
    with pytest.raises(ValueError, match="E124.*cuda"):
        spacy.load(tmp_path, config={PRECISION: "int8"})(TEXTS[0])


def test_long_documents_are_read_in_windows(tokenizer, tmp_path):
    nlp = trained(tokenizer, steps=1)
    text = " ".join(TEXTS) * 40
    nlp.to_disk(tmp_path)
    rows = to_numpy(nlp(text).tensor)
    set_current_ops(NumpyOps())
    np.testing.assert_allclose(rows, spacy.load(tmp_path)(text).tensor, atol=1e-3)


def test_rows_that_the_cpu_reads_are_brought_to_the_device(tokenizer):
    """As those of an exported encoder."""
    nlp = trained(tokenizer, steps=1)
    docs, encoder = [nlp.make_doc(text) for text in TEXTS], nlp.get_pipe("transformer")
    encoder_of(nlp).cpu()
    for rows in encoder.predict(docs).values():
        assert {type(array) for array in rows} == {get_current_ops().xp.ndarray}
    nlp(TEXTS[0])


def test_what_a_cpu_reads_in_parts_is_one_pass(tokenizer):
    nlp = trained(tokenizer, steps=1)
    doc, passes = nlp.make_doc(" ".join(TEXTS) * 200), []
    hook = encoder_of(nlp).transformer.register_forward_hook(lambda *_: passes.append(1))
    try:
        nlp.get_pipe("transformer").predict([doc])
    finally:
        hook.remove()
    assert len(doc) > ROWS_PER_PASS and passes == [1]


def test_memory_of_the_device_is_flat(tokenizer):
    nlp = trained(tokenizer, steps=1)
    held = []
    for _ in range(6):
        for _ in nlp.pipe(TEXTS * 50, batch_size=25):
            pass
        torch.cuda.synchronize()
        held.append(torch.cuda.memory_allocated())
    assert max(held[2:]) - held[1] < 1_000_000


def test_replaced_listeners_stay_on_the_device(tokenizer):
    nlp = trained(tokenizer, steps=2)
    expected = [snapshot(doc)["ents"] for doc in nlp.pipe(TEXTS)]
    nlp.replace_listeners("transformer", "trf_ner", ["model.tok2vec"])
    assert_close([snapshot(doc)["ents"] for doc in nlp.pipe(TEXTS)], expected, 1e-4)
    copied = nlp.get_pipe("trf_ner").model.get_ref("tok2vec").shims[0].module
    assert {p.device.type for p in copied.parameters()} == {"cuda"}
