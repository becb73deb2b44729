"""Every choice that shapes a Transformer, in one frozen record that checks itself.

The defaults are BERT's (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) at the width and
depth of MiniLM (Wang et al. 2020, https://arxiv.org/abs/2002.10957).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import Errors

POSITIONS = ("learned", "sinusoidal", "rope", "alibi")
NORMS = ("layer", "rms")
NORM_POSITIONS = ("pre", "post")
SINUSOIDAL_ORDERS = ("interleaved", "halves")
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "swiglu", "geglu")
GATED = ("swiglu", "geglu")


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape of an encoder or a decoder.

    n_pieces (int): Size of the sub-word vocabulary.
    width (int): Size of a row, W.
    depth (int): Number of blocks.
    n_heads (int): Attention heads, H; divides `width`.
    ffn_width (int | None): Inner width of the feed-forward network, F. None: 4 W, and for a gated
        activation 8/3 W (the same number of parameters), rounded up to a multiple of 8.
    max_length (int): Longest sequence in pieces. A hard limit with learned positions, advice to
        the windowing otherwise.
    n_segments (int): Size of the segment table (0: none).
    positions (str): "learned", "sinusoidal", "rope" or "alibi".
    position_offset (int): Rows of the learned table before position 0 (RoBERTa: 2).
    sinusoidal_order (str): Columns of sinusoidal positions: "interleaved" (sine, cosine, sine,
        ...) or "halves" (all sines, then all cosines, as in Marian).
    norm (str): "layer" or "rms".
    norm_position (str): "post" (x = norm(x + f(x)), as in BERT) or "pre" (x = x + f(norm(x))).
    norm_eps (float): Added to the variance in norms.
    first_norm (bool): Whether the first block's attention has a norm before it. False with
        pre-norm only, where the embeddings are normalised already (ModernBERT).
    activation (str): "gelu" (exact, by erf), "gelu_tanh" (its approximation in GPT-2), "relu",
        "silu" (also called swish), or the gated "swiglu" and "geglu".
    bias (bool): Whether linear layers and layer norms have biases.
    embedding_width (int | None): Width of the embedding tables; None: W. Where it differs from W
        a linear layer follows (ELECTRA).
    embedding_norm (bool): Whether the sum of the embeddings is normalised.
    embedding_scale (float | None): What piece vectors are multiplied with before positions are
        added (sqrt(W) in Vaswani et al. 2017, section 3.4, and Marian). None: nothing.
    final_norm (bool | None): Whether a norm follows the last block. None: with pre-norm only.
    dropout (float): Rate on embeddings and on what each half-block adds to the residual.
    attention_dropout (float): Rate on attention weights.
    qk_norm (bool): Whether each head's queries and keys are divided by their root mean square,
        which bounds the scores (Henry et al. 2020, https://arxiv.org/abs/2010.04245).
    rope_base (float): Base of the rotary frequencies.
    pad_piece (int): Id of the padding piece. Packed batches never hold it; export needs it.
    init_std (float): Standard deviation of initial weights.
    """

    n_pieces: int
    width: int = 384
    depth: int = 6
    n_heads: int = 6
    ffn_width: int | None = None
    max_length: int = 512
    n_segments: int = 0
    positions: str = "learned"
    position_offset: int = 0
    sinusoidal_order: str = "interleaved"
    norm: str = "layer"
    norm_position: str = "post"
    norm_eps: float = 1e-12
    first_norm: bool = True
    activation: str = "gelu"
    bias: bool = True
    embedding_width: int | None = None
    embedding_norm: bool = True
    embedding_scale: float | None = None
    final_norm: bool | None = None
    dropout: float = 0.1
    attention_dropout: float = 0.1
    qk_norm: bool = False
    rope_base: float = 10000.0
    pad_piece: int = 0
    init_std: float = 0.02

    def __post_init__(self) -> None:
        """Check every field, then fill in the derived ones.

        RAISES (ValueError): A field has the wrong type, is out of range, or clashes with another.
        """
        self._check_fields()
        if self.ffn_width is None:
            object.__setattr__(self, "ffn_width", self._default_ffn_width())
        if self.embedding_width is None:
            object.__setattr__(self, "embedding_width", self.width)
        if self.final_norm is None:
            object.__setattr__(self, "final_norm", self.norm_position == "pre")
        self._check_heads()
        if not self.first_norm and self.norm_position != "pre":
            raise ValueError(Errors.E126.format(found=self.norm_position))

    @property
    def head_width(self) -> int:
        """RETURNS (int): D, the width of one head."""
        return self.width // self.n_heads

    @property
    def gated(self) -> bool:
        """RETURNS (bool): Whether the feed-forward network has a gate."""
        return self.activation in GATED

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): Plain values under the field names, derived ones filled in."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TransformerConfig:
        """Build a config from what `to_dict` returned.

        values (dict): Values under field names.
        RETURNS (TransformerConfig): The config.
        RAISES (ValueError): An unknown or missing key, or a value that does not pass the checks.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(Errors.E101.format(unknown=", ".join(unknown), known=", ".join(known)))
        if "n_pieces" not in values:
            raise ValueError(Errors.E102.format(name="n_pieces", expected="an integer", found=None))
        return cls(**values)

    def _default_ffn_width(self) -> int:
        if not self.gated:
            return 4 * self.width
        return -(-8 * self.width // 3 // 8) * 8

    def _check_fields(self) -> None:
        for name in ("n_pieces", "width", "depth", "n_heads", "max_length"):
            _check_int(name, getattr(self, name), least=1)
        for name in ("n_segments", "position_offset", "pad_piece"):
            _check_int(name, getattr(self, name), least=0)
        for name in ("ffn_width", "embedding_width"):
            if getattr(self, name) is not None:
                _check_int(name, getattr(self, name), least=1)
        _check_choice("positions", self.positions, POSITIONS)
        _check_choice("sinusoidal_order", self.sinusoidal_order, SINUSOIDAL_ORDERS)
        _check_choice("norm", self.norm, NORMS)
        _check_choice("norm_position", self.norm_position, NORM_POSITIONS)
        _check_choice("activation", self.activation, ACTIVATIONS)
        for name in ("dropout", "attention_dropout"):
            _check_float(name, getattr(self, name), least=0.0, below=1.0)
        for name in ("norm_eps", "init_std"):
            _check_float(name, getattr(self, name), least=0.0, below=float("inf"))
        _check_float("rope_base", self.rope_base, least=1.0, below=float("inf"))
        if self.embedding_scale is not None:
            _check_float("embedding_scale", self.embedding_scale, least=0.0, below=float("inf"))
        for name in ("bias", "embedding_norm", "first_norm", "qk_norm"):
            _check_choice(name, getattr(self, name), (True, False))
        _check_choice("final_norm", self.final_norm, (True, False, None))

    def _check_heads(self) -> None:
        if self.width % self.n_heads:
            raise ValueError(Errors.E103.format(width=self.width, n_heads=self.n_heads))
        if self.positions == "rope" and self.head_width % 2:
            raise ValueError(Errors.E104.format(head_width=self.head_width))


def _check_int(name: str, value: Any, *, least: int) -> None:
    # bool is a subclass of int, and True layers are no number of layers
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        expected = f"an integer of at least {least}"
        raise ValueError(Errors.E102.format(name=name, expected=expected, found=value))


def _check_float(name: str, value: Any, *, least: float, below: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not least <= value < below:
        expected = f"a number from {least} to below {below}"
        raise ValueError(Errors.E102.format(name=name, expected=expected, found=value))


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if not any(value is choice or (value == choice and type(value) is str) for choice in choices):
        expected = "one of " + ", ".join(repr(choice) for choice in choices)
        raise ValueError(Errors.E102.format(name=name, expected=expected, found=value))
