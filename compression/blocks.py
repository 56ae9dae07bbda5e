"""What the networks are made of besides the layers of PyTorch."""

from __future__ import annotations

import torch
from torch import nn

HEAD = 16  # numbers per token that one attention head looks at


class Residual(nn.Sequential):
    """Layers one after the other, and their input added to what they give.

    A child named `shortcut`, if there is one, is not one of them: it makes the input of their
    output's shape.
    """

    @property
    def body(self) -> list[nn.Module]:
        return [layer for name, layer in self.named_children() if name != "shortcut"]

    @property
    def shortcut_of(self) -> nn.Module:
        found = self._modules.get("shortcut")
        return nn.Identity() if found is None else found

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        output = input
        for layer in self.body:
            output = layer(output)
        return output + self.shortcut_of(input)


class Attention(nn.Module):
    """Each token asks all others [Vaswani et al., 2017, arXiv:1706.03762]. Input and output float32
    (N, tokens, units); the layers q, k, v give HEAD numbers per head, `out` joins the heads.
    """

    def __init__(self, units: int, heads: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(units, heads * HEAD) for _ in range(3))
        self.out = nn.Linear(heads * HEAD, units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(attend(self.q(x), self.k(x), self.v(x)))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k' / sqrt(HEAD)) v, head by head. All float32 (N, tokens, heads * HEAD)."""
    q, k, v = (x.unflatten(-1, (-1, HEAD)).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(-2, -1) * HEAD**-0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def attention_macs(tokens: int, units: int) -> int:
    """Multiply-adds of `attend` for one image: none of them is with a weight."""
    return 2 * tokens * tokens * units


class Tokens(nn.Module):
    """Places of a picture as a list of tokens: (N, C, H, W) to (N, H * W, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).transpose(1, 2)


class MeanOfTokens(nn.Module):
    """(N, tokens, units) to (N, units)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)
