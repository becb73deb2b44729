import pytest
import spacy

from spacy_llm_tasks.bench import invented_gold, texts


def made(seed=0, n_words=4000):
    nlp = spacy.blank("en")
    docs = texts.generate("paragraphs", n_words=n_words, seed=1)
    return invented_gold.with_entities(nlp, docs, seed=seed)


def placed(docs):
    return [[(ent.start, ent.end, ent.label_) for ent in doc.ents] for doc in docs]


def test_the_seed_decides():
    assert placed(made()) == placed(made()) != placed(made(seed=1))


def test_as_many_as_are_promised_on_words_alone():
    docs = made(n_words=20000)
    entities = [ent for doc in docs for ent in doc.ents]
    density = sum(map(len, docs)) / len(entities)
    assert density == pytest.approx(invented_gold.TOKENS_PER_ENTITY, rel=0.1)
    assert {ent.label_ for ent in entities} == set(invented_gold.LABELS)
    assert {len(ent) for ent in entities} == {1, 2, 3}
    assert all(token.is_alpha for ent in entities for token in ent)


def test_a_doc_without_an_entity_is_annotated_all_the_same():
    (doc,) = invented_gold.with_entities(spacy.blank("en"), ["..."], seed=0)
    assert not doc.ents and doc.has_annotation("ENT_IOB")
