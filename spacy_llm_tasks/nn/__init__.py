"""The Transformer, in plain PyTorch: one brick per file, each readable on its own.

Reading order, from a row of numbers to a model:

    config       every choice that shapes a model, checked once
    packing      sequences end to end in one matrix, no padding rows
    kernels      the matrix product, by the fastest exact implementation on this machine
    precision    the same product in bfloat16 and 8-bit integers, for prediction
    linear       a linear layer on those kernels
    norms        layer and root-mean-square normalisation
    embeddings   piece ids -> vectors
    positions    learned, sinusoidal, rotary and linear-bias positions
    attention    multi-head scaled dot-product attention on packed rows
    feedforward  the two-layer network applied to each row
    block        attention + feed-forward, with residuals
    encoder      embeddings + a stack of blocks

Shape legend, used in every docstring and comment of this package:

    B  sequences (documents or windows)     W  width, the size of a row
    T  pieces, all sequences end to end     H  heads;  D = W / H, the size of a head
    N  spaCy tokens, all docs end to end    F  width of the feed-forward network
    L  length of a sequence (labels, where a task head is meant)

Nothing here knows spaCy, thinc or any checkpoint format.
"""
