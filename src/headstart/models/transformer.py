"""A small vision transformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import BadInputError
from headstart.models.normalization import LayerNorm


class Attention(nn.Module):
    """``output(softmax(q k^T / sqrt(d)) v)``, with ``q``, ``k`` and ``v`` of every token, in several heads.

    Shapes:
        tokens: ``[example, token, width]``, and so is the result

    Source: Vaswani et al. (2017), section 3.2.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries, self.keys, self.values, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: Tensor) -> Tensor:
        """What every token gathers from all tokens."""
        queries, keys, values = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.queries, self.keys, self.values)
        )
        gathered = F.scaled_dot_product_attention(queries, keys, values)
        mixed: Tensor = self.output(gathered.transpose(1, 2).flatten(2))
        return mixed


class TransformerBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``, with GELU and four times the width inside."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = LayerNorm((width,)), LayerNorm((width,))
        self.attention = Attention(width, heads)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """One block, ``[example, token, width]``."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        mixed: Tensor = tokens + self.contract(F.gelu(self.expand(self.mlp_norm(tokens))))
        return mixed


class Transformer(nn.Module):
    """``logits = head(mean over tokens of norm(blocks(embed(patches) + position)))``: a small vision transformer.

    Shapes:
        inputs: ``[example, channels, image_size, image_size]`` -> logits ``[example, ways]``

    Raises:
        BadInputError: a size is not positive, or does not divide another one as it must.

    Source: Dosovitskiy et al. (2021), section 3.1, with the mean of the tokens for the class token.

    >>> Transformer(ways=5)(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        ways: int,
        *,
        channels: int = 1,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        patch: int = 7,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if min(ways, channels, width, depth, heads, patch, image_size) < 1:
            sizes = f"{ways=}, {channels=}, {width=}, {depth=}, {heads=}, {patch=}, {image_size=}"
            raise BadInputError(f"a transformer needs positive sizes, not {sizes}.")
        for name, part, whole_name, whole in (
            ("heads", heads, "width", width),
            ("patch", patch, "image_size", image_size),
        ):
            if whole % part:
                raise BadInputError(f"{name}={part} must divide {whole_name}={whole}.")
        self.embed = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        self.position = nn.Parameter(0.02 * torch.randn((image_size // patch) ** 2, width))
        self.blocks = nn.Sequential(*[TransformerBlock(width, heads) for _ in range(depth)])
        self.norm = LayerNorm((width,))
        self.head = nn.Linear(width, ways)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``[example, ways]``."""
        tokens = self.embed(inputs).flatten(2).transpose(1, 2) + self.position
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits
