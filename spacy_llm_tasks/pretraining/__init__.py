"""From raw text to a pretrained encoder, decoder or both.

The rooms stand in the order in which data passes through them, and imports only go down this list:

    texts           raw text: read, cleaned, without duplicates and personal data, split
    pieces          the text in pieces on disk, cut into chunks, dealt out in micro-batches
    objectives      what is learned from a micro-batch, and the loss
    team            one process or many
    optimisation    one step: gradients into weights
    (beside them)   a run: `settings`, `materials` (text and tokenizer), `trunk` and `model`, `feed`
                    (micro-batches for the objectives), `loop` with `progress`, `evaluation`,
                    `curves` and `checkpoints`; `assembly` puts it together, `run` does it all,
                    `handover` writes what others load
    looking         a look at what was learned

Knows torch, numpy and the `tokenizers` library through `nn/` and `tokenization/`; never spaCy or
thinc.
"""
