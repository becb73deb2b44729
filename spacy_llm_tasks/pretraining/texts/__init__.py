"""Raw text, before any tokenizer has seen it.

sources, text_readers    files of every kind, read as a stream
pydoc_texts              the documentation that comes with Python
clean                    Unicode, control characters, what is no text
scrub, scrub_*           placeholders for personal data: addresses, keys, numbers
numbering                what numbers look like
duplicates               exact and near ones
corpus                   all of these, split into training and held-out text
corpus_settings          what it is told
corpus_report            what it has done
text_store               the texts on disk
"""
