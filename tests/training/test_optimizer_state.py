import copy

import numpy as np
from pipeline import toys

from spacy_llm_tasks.training.optimizer import make_adamw
from spacy_llm_tasks.training.optimizer_state import optimizer_from_state, optimizer_to_state


def make_optimizer():
    return make_adamw(0.01, average_decay=0.9, start_share=0.3)


def test_goes_on_with_moments_averages_and_starts(tmp_path):
    nlp, optimizer = toys.empty_pipeline(toys.save_tokenizer(tmp_path)), make_optimizer()
    nlp.add_pipe("trf_ner")
    toys.initialize(nlp)
    examples = toys.examples(nlp)
    nlp.update(examples, sgd=optimizer, drop=0.0)
    other, resumed = copy.deepcopy(nlp), make_optimizer()  # other ids
    numbers, arrays = optimizer_to_state(nlp, optimizer)
    optimizer_from_state(other, resumed, numbers, arrays, steps=0)
    for pipeline, adamw in ((nlp, optimizer), (other, resumed)):
        pipeline.update(examples, sgd=adamw, drop=0.0)
    expected, found = optimizer_to_state(nlp, optimizer)[1], optimizer_to_state(other, resumed)[1]
    assert {name.split("/")[0] for name in expected} == {"mom1", "mom2", "averages", "starts"}
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)
