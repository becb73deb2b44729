"""Seeing inside a checkpoint: what a model has learned, and what it costs.

For folders in a published layout (config.json, model.safetensors, a tokenizer), whoever has trained
them.

    folder       which kind of model lies in a folder; a text in its pieces
    masks        an encoder fills gaps
    writing      a decoder goes on with a text, an encoder-decoder restores one
    neighbors    pieces with similar vectors
    sizes        parameters, bytes, arithmetic
    description  all that a folder says of itself, without a look at its numbers
"""
