"""Weights in and out: checkpoint layouts of other libraries, and verified downloads.

Reading order, from a name in a file to a model:

    places            where one of our parameters lies in a file, and in which form
    rules             what a config.json must say for us to be able to use it
    family            how a family names the settings and parameters of one stack of blocks
    shards            weights in several files, read like one
    folder            config.json and model.safetensors, read and written with care
    modernbert        an encoder: ModernBERT
    families          all encoders: BERT, RoBERTa, ELECTRA, DistilBERT, ModernBERT
    heads             the head that predicts pieces, in a family's names
    checkpoint        a folder <-> an encoder, alone or with its head
    decoders          a folder <-> a decoder: GPT-2
    seq2seq_families  the encoder-decoders: BART, Marian
    seq2seq           a folder <-> an encoder-decoder

    checksum          the sha256 of a file
    published         the weights that can be had by name
    sources           where they are fetched from
    download          fetches them and checks what it got
"""
