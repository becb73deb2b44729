"""Text in pieces, on disk and in micro-batches.

word_starts    which pieces start a word
piece_store    the pieces of all documents, memory-mapped
special        the ids that frame, hide and pad
chunks         documents cut up, and dealt out in an order that needs no history
"""
