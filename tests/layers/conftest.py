import pytest
from pipeline.toys import save_tokenizer


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """Folder with a small WordPiece tokenizer."""
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))
