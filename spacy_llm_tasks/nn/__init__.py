"""The Transformer, in plain PyTorch: one brick per file, each readable on its own.

Reading order, from a row of numbers to a model:

    config             every choice that shapes a model, checked once
    presets            the choices for models that are trained from scratch
    transfer           the way of small tensors to a GPU
    packing            sequences end to end in one matrix, no padding rows
    kernels            the matrix product, by the fastest exact implementation on this machine
    precision          the same product in bfloat16 and 8-bit integers, for prediction
    linear             a linear layer on those kernels
    reduced            layers that keep their weights in fewer bits, and no others
    norms              layer and root-mean-square normalisation
    initial            the weights before training
    embeddings         piece ids -> vectors
    rotation           queries and keys turned by the angles of their positions
    positions          learned, sinusoidal, rotary and linear-bias positions
    softmax_attention  queries, keys, values -> what each query gathers
    varlen_attention   the same by a GPU's kernels, for packed rows as they are
    cache              keys and values of pieces already read, for writing piece after piece
    attention          multi-head scaled dot-product attention on packed rows
    crossing           which rows of another batch a sequence may look at
    cross_attention    the same attention, to those rows
    gate               half of a row times the other, bent half
    feedforward        the two-layer network applied to each row
    block              attention + feed-forward, with residuals
    stack              embeddings + blocks
    encoder            a stack that looks both ways
    decoder            a stack that looks back only
    seq2seq            a decoder that reads an encoder
    piece_loss         cross-entropy over a large vocabulary
    piece_head         rows -> logits of pieces
    sampling           logits -> a piece
    generation         a decoder that writes

Shape legend, used in every docstring and comment of this package:

    B  sequences (documents or windows)     W  width, the size of a row
    T  pieces, all sequences end to end     H  heads;  D = W / H, the size of a head
    N  spaCy tokens, all docs end to end    F  width of the feed-forward network
    L  length of a sequence (labels, where a task head is meant)
    S  pieces of a memory, all sequences end to end     E  width of the piece table

Nothing here knows spaCy, thinc or any checkpoint format.
"""
