"""The one place where torch meets thinc: docs become token vectors, heads read them.

`shim` wraps torch modules for thinc (safetensors, learning-rate groups, run-time dropout);
`doc_encoder` turns a batch of docs into rows; `encoder` is the thinc layer around it; `listener`
hands its rows to a head; `task_head` wraps a head's torch module; the `*_head` files are the heads.
"""
