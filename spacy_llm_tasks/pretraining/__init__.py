"""From raw text to a pretrained encoder, decoder or both.

Texts are read (`sources`), cleaned, freed of duplicates and, if asked, of personal data, and split
(`corpus`); then they are cut into pieces on disk, from which objectives make examples for the
training loop. Knows torch, numpy and the `tokenizers` library through `nn/` and `tokenization/`;
never spaCy or thinc.
"""
