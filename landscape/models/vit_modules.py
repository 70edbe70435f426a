"""Vision transformers as modules."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vit import ViT


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> (N, tokens, dim)."""
        n, tokens, dim = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (dim // self.heads) ** -0.5) @ k.transpose(-2, -1)
        out: Tensor = self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, tokens, dim))
        return out


class _Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _Block(nn.Module):
    def __init__(self, a: ViT):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(a.dim, eps=1e-6), _Attention(a.dim, a.heads)
        self.norm2, self.mlp = nn.LayerNorm(a.dim, eps=1e-6), _Mlp(a.dim, a.hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class _Patches(nn.Module):
    def __init__(self, a: ViT):
        super().__init__()
        self.proj = nn.Conv2d(a.channels, a.dim, a.patch, stride=a.patch)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, side, side) -> (N, patches, dim)."""
        out: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return out


class ViTModule(nn.Module):
    """Images (N, channels, side, side) -> logits (N, classes)."""

    def __init__(self, a: ViT):
        super().__init__()
        self.class_token = a.class_token
        if a.class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, a.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, a.tokens, a.dim))
        self.patch_embed = _Patches(a)
        self.blocks = nn.Sequential(*(_Block(a) for _ in range(a.depth)))
        self.norm, self.head = nn.LayerNorm(a.dim, eps=1e-6), nn.Linear(a.dim, a.classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, side, side) -> logits (N, classes)."""
        x = self.patch_embed(images)
        if self.class_token:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.norm(self.blocks(x + self.pos_embed))
        logits: Tensor = self.head(x[:, 0] if self.class_token else x.mean(1))
        return logits
