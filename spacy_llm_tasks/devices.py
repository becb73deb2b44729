"""The choice of a GPU, for commands and workers."""


def use_gpu(gpu_id: int) -> None:
    """Have spaCy and thinc use a GPU. CuPy takes its memory from PyTorch's store there, as spaCy's
    own configs of Transformers have it: of two stores, one runs out while the other has room.

    gpu_id (int): The CUDA device.
    RAISES (ValueError): If it is not there.
    """
    from thinc.api import require_gpu, set_gpu_allocator

    require_gpu(gpu_id)
    set_gpu_allocator("pytorch")
