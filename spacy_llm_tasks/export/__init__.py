"""A trained pipeline for other runtimes: ONNX graphs of the encoder and of the heads.

`padded_encoder` and `row_heads` say what the graphs compute; `onnx_file` writes one; `agreement`
compares what it gives with what PyTorch gives; `pipeline` does all of it to a pipeline. What runs
the encoder's graph is no part of this room: `layers.onnx_encoder`.

TorchScript is not offered: PyTorch has deprecated `torch.jit`. The graphs are captured by
`torch.export`, whose own files only PyTorch reads; where PyTorch is, a pipeline runs faster as it
is.
"""
