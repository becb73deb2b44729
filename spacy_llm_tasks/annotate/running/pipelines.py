"""Where a pipeline is on the disk, and what can be told of it without loading it."""

from pathlib import Path

from ...errors import Errors

CONFIG = "config.cfg"
# By which a config shows that our encoder, whose kernel is chosen at run time, is in the pipeline.
OURS = ("spacy_llm_tasks.", '"trf_')
SIMILARITY = "trf_similarity"


def find_pipeline(pipeline: str | Path) -> Path:
    """Find the folder of a pipeline.

    pipeline (str | Path): A folder, or the name of an installed package.
    RETURNS (Path): The folder, absolute.
    RAISES (ValueError): If there is none.
    """
    path = Path(pipeline).expanduser()
    if (path / CONFIG).is_file():
        return path.resolve()
    from spacy.util import get_package_path, is_package

    if not path.exists() and is_package(str(pipeline)):
        # A package has its pipeline in a folder that is named after its version.
        found = sorted(get_package_path(str(pipeline)).glob(f"*/{CONFIG}"))
        if found:
            return found[-1].parent.resolve()
    raise ValueError(Errors.E850.format(path=pipeline))


def require_embeddings(pipeline: Path) -> None:
    """Refuse a pipeline of which no search index can be made.

    pipeline (Path): Its folder.
    RAISES (ValueError): If none of its components is a `trf_similarity`.
    """
    from spacy.util import load_config

    config = load_config(pipeline / CONFIG)
    names = config.get("nlp", {}).get("pipeline", [])
    factories = [config.get("components", {}).get(name, {}).get("factory") for name in names]
    if SIMILARITY not in factories:
        found = ", ".join(names) or "none"
        raise ValueError(Errors.E855.format(path=pipeline, found=found))


def kernel_for(pipeline: Path) -> str | None:
    """Choose the kernel that all workers use. Each would choose for itself otherwise, and rows of
    one run would differ in their last bits.

    pipeline (Path): Its folder.
    RETURNS (str | None): A name of `nn.kernels`; None if the pipeline has none of our components.
    """
    config = (pipeline / CONFIG).read_text(encoding="utf8")
    if not any(mark in config for mark in OURS):
        return None
    from ...nn import kernels

    return kernels.current()
