"""The same Transformer, written the slow and obvious way: one sequence at a time, no shortcuts.

It reads the parameters of a `TransformerEncoder` or `TransformerDecoder` by name and shares no code
with them.
"""

import math

import torch


def encode(encoder, sequences, segments=None):
    """Sequences of piece ids -> (T, W), one sequence after the other."""
    weights = dict(encoder.named_parameters())
    segments = segments or [torch.zeros_like(pieces) for pieces in sequences]
    pairs = zip(sequences, segments, strict=True)
    return torch.cat([_read(encoder.config, weights, p, s) for p, s in pairs])


def decode(decoder, sequences, memories=None):
    """Sequences of piece ids, each with its memory (S, W) if any -> (T, W)"""
    # a shared table has its name in the state, but not among the parameters
    weights = dict(decoder.named_parameters(remove_duplicate=False))
    memories = memories or [None] * len(sequences)
    pairs = zip(sequences, memories, strict=True)
    return torch.cat(
        [_read(decoder.config, weights, pieces, None, m, causal=True) for pieces, m in pairs]
    )


def _read(config, weights, pieces, segments, memory=None, causal=False):
    length = len(pieces)
    x = weights["embeddings.pieces.weight"][pieces]
    if config.embedding_scale:
        x = x * config.embedding_scale
    if config.positions == "learned":
        x = x + weights["embeddings.positions.weight"][config.position_offset :][:length]
    if config.positions == "sinusoidal":
        x = x + _waves(length, x.shape[1], config.sinusoidal_order)
    if config.n_segments:
        x = x + weights["embeddings.segments.weight"][segments]
    if config.embedding_norm:
        x = _norm(config, weights, "embeddings.norm", x)
    if config.embedding_width != config.width:
        x = _linear(weights, "embeddings.project", x)
    parts = [
        ("attention", lambda name, y: attention(config, weights, name, y, causal=causal)),
        ("cross_attention", lambda name, y: _cross_attention(config, weights, name, y, memory)),
        ("feedforward", lambda name, y: _feedforward(config, weights, name, y)),
    ]
    if memory is None:
        del parts[1]
    for i in range(config.depth):
        for kind, function in parts:
            name = f"blocks.{i}.{kind}"
            bare = i == 0 and kind == "attention" and not config.first_norm
            if config.norm_position == "pre":
                y = x if bare else _norm(config, weights, f"{name}_norm", x)
                x = x + function(name, y)
            else:
                x = _norm(config, weights, f"{name}_norm", x + function(name, x))
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


def attention(config, weights, name, x, causal=False):
    length, size = len(x), config.width // config.n_heads
    qkv = _linear(weights, f"{name}.qkv", x)
    places = torch.arange(length)
    heads = []
    for h in range(config.n_heads):
        parts = [qkv[:, j * config.width + h * size :][:, :size] for j in range(3)]
        q, k, v = parts
        if config.qk_norm:
            q, k = _unit(q, config.norm_eps), _unit(k, config.norm_eps)
        if config.positions == "rope":
            q, k = _turn(q, config.rope_base), _turn(k, config.rope_base)
        scores = q @ k.T / math.sqrt(size)
        if config.positions == "alibi":
            slope = 2 ** (-8 * (h + 1) / config.n_heads)  # for a power of two
            scores = scores - slope * (places[:, None] - places[None, :]).abs()
        if causal:
            scores = torch.where(places[None, :] > places[:, None], -math.inf, scores)
        heads.append(torch.softmax(scores, dim=-1) @ v)
    return _linear(weights, f"{name}.output", torch.cat(heads, dim=1))


def _cross_attention(config, weights, name, x, memory):
    size = config.width // config.n_heads
    queries, kv = _linear(weights, f"{name}.query", x), _linear(weights, f"{name}.kv", memory)
    heads = []
    for h in range(config.n_heads):
        part = slice(h * size, (h + 1) * size)
        q, k, v = queries[:, part], kv[:, : config.width][:, part], kv[:, config.width :][:, part]
        if config.qk_norm:
            q, k = _unit(q, config.norm_eps), _unit(k, config.norm_eps)
        heads.append(torch.softmax(q @ k.T / math.sqrt(size), dim=-1) @ v)
    return _linear(weights, f"{name}.output", torch.cat(heads, dim=1))


def _unit(x, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps)


def _feedforward(config, weights, name, x):
    x = _linear(weights, f"{name}.up", x)
    if config.activation in ("swiglu", "geglu"):
        inner = x.shape[1] // 2
        gate, value = x[:, :inner], x[:, inner:]
        x = (_silu(gate) if config.activation == "swiglu" else _gelu(gate)) * value
    else:
        x = bend(x, config.activation)
    return _linear(weights, f"{name}.down", x)


def bend(x, activation):
    if activation == "gelu_tanh":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return {"gelu": _gelu, "silu": _silu, "relu": lambda y: y.clamp(min=0)}[activation](x)


def _gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def _silu(x):
    return x * torch.sigmoid(x)


def _waves(length, width, order):
    table = torch.zeros(length, width)
    for position in range(length):
        for i in range(width):
            if order == "halves":
                half = -(-width // 2)
                wave, sine = i % half, i < half
            else:
                wave, sine = i // 2, i % 2 == 0
            angle = position / 10000 ** (2 * wave / width)
            table[position, i] = math.sin(angle) if sine else math.cos(angle)
    return table


def _turn(x, base):
    """Rotate each pair (i, i + D/2) as one complex number."""
    length, size = x.shape
    pairs = torch.complex(x[:, : size // 2], x[:, size // 2 :])
    rates = torch.tensor([base ** (-2 * i / size) for i in range(size // 2)])
    angles = torch.arange(length)[:, None] * rates
    turned = pairs * torch.complex(angles.cos(), angles.sin())
    return torch.cat([turned.real, turned.imag], dim=1)
