"""The same Transformer, written the slow and obvious way: one sequence at a time, no shortcuts.

It reads the parameters of a `TransformerEncoder` by name and shares no code with it.
"""

import math

import torch


def encode(encoder, sequences, segments=None):
    """Sequences of piece ids -> (T, W), one sequence after the other."""
    weights = dict(encoder.named_parameters())
    segments = segments or [torch.zeros_like(pieces) for pieces in sequences]
    pairs = zip(sequences, segments, strict=True)
    return torch.cat([_encode_one(encoder.config, weights, p, s) for p, s in pairs])


def _encode_one(config, weights, pieces, segments):
    length = len(pieces)
    x = weights["embeddings.pieces.weight"][pieces]
    if config.positions == "learned":
        x = x + weights["embeddings.positions.weight"][config.position_offset :][:length]
    if config.positions == "sinusoidal":
        x = x + _waves(length, x.shape[1])
    if config.n_segments:
        x = x + weights["embeddings.segments.weight"][segments]
    if config.embedding_norm:
        x = _norm(config, weights, "embeddings.norm", x)
    if config.embedding_width != config.width:
        x = _linear(weights, "embeddings.project", x)
    for i in range(config.depth):
        for kind, function in (("attention", _attention), ("feedforward", _feedforward)):
            name = f"blocks.{i}.{kind}"
            if config.norm_position == "pre":
                x = x + function(config, weights, name, _norm(config, weights, f"{name}_norm", x))
            else:
                x = _norm(config, weights, f"{name}_norm", x + function(config, weights, name, x))
    return _norm(config, weights, "final_norm", x) if config.final_norm else x


def _linear(weights, name, x):
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def _norm(config, weights, name, x):
    if config.norm == "layer":
        x = x - x.mean(-1, keepdim=True)
    y = x / torch.sqrt((x * x).mean(-1, keepdim=True) + config.norm_eps)
    y = y * weights[f"{name}.weight"]
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def _attention(config, weights, name, x):
    length, size = len(x), config.width // config.n_heads
    qkv = _linear(weights, f"{name}.qkv", x)
    heads = []
    for h in range(config.n_heads):
        parts = [qkv[:, j * config.width + h * size :][:, :size] for j in range(3)]
        q, k, v = parts
        if config.positions == "rope":
            q, k = _turn(q, config.rope_base), _turn(k, config.rope_base)
        scores = q @ k.T / math.sqrt(size)
        if config.positions == "alibi":
            slope = 2 ** (-8 * (h + 1) / config.n_heads)  # for a power of two
            places = torch.arange(length)
            scores = scores - slope * (places[:, None] - places[None, :]).abs()
        heads.append(torch.softmax(scores, dim=-1) @ v)
    return _linear(weights, f"{name}.output", torch.cat(heads, dim=1))


def _feedforward(config, weights, name, x):
    x = _linear(weights, f"{name}.up", x)
    if config.activation in ("swiglu", "geglu"):
        inner = x.shape[1] // 2
        gate, value = x[:, :inner], x[:, inner:]
        x = (gate * torch.sigmoid(gate) if config.activation == "swiglu" else _gelu(gate)) * value
    else:
        x = _gelu(x) if config.activation == "gelu" else x.clamp(min=0)
    return _linear(weights, f"{name}.down", x)


def _gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def _waves(length, width):
    table = torch.zeros(length, width)
    for position in range(length):
        for i in range(width):
            angle = position / 10000 ** (2 * (i // 2) / width)
            table[position, i] = math.sin(angle) if i % 2 == 0 else math.cos(angle)
    return table


def _turn(x, base):
    """Rotate each pair (i, i + D/2) as one complex number."""
    length, size = x.shape
    pairs = torch.complex(x[:, : size // 2], x[:, size // 2 :])
    rates = torch.tensor([base ** (-2 * i / size) for i in range(size // 2)])
    angles = torch.arange(length)[:, None] * rates
    turned = pairs * torch.complex(angles.cos(), angles.sin())
    return torch.cat([turned.real, turned.imag], dim=1)
