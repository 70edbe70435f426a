"""Small vision transformers with timm's names: their description."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from ..errors import UnknownNetworkError
from .base import MAX_CHANNELS, MAX_CLASSES, Shapes, check_count, leading
from .parameter_list import Plan, Planned, side_of

_HEAD_SIZES = (64, 32, 16, 8)


@dataclass(frozen=True)
class ViT(Planned):
    """Patches, `depth` blocks of attention and a two-layer GELU network, each after a LayerNorm, and a linear head.

    With `class_token` the head reads that token, otherwise the mean of all. Shapes do not determine the number of
    heads: the candidates have heads of size 64, 32, 16 or 8, timm's 64 first.

    Raises:
        UnknownNetworkError: a field that is not possible.

    Source: Dosovitskiy et al. 2021, section 3.1; names and LayerNorm's epsilon of 1e-6 as in timm.
    """

    family: ClassVar[str] = "vit"
    built_by: ClassVar[str] = "vit_modules:ViTModule"

    dim: int
    depth: int
    heads: int
    hidden: int
    patch: int
    side: int
    class_token: bool = True
    classes: int = 10
    channels: int = 3

    def __post_init__(self) -> None:
        limits = {"dim": 8192, "depth": 64, "heads": 128, "hidden": 65536, "patch": 64, "side": 1024}
        for name, most in {**limits, "classes": MAX_CLASSES, "channels": MAX_CHANNELS}.items():
            check_count(name, getattr(self, name), most)
        if self.dim % self.heads or self.side % self.patch or type(self.class_token) is not bool:
            raise UnknownNetworkError("A ViT's width is a multiple of its heads, its image side one of its patch side.")

    @property
    def label(self) -> str:
        """For example "ViT, 6 blocks of 192, 3 heads, patches 4×4 of 32×32"."""
        heads = f"{self.heads} head{'s' if self.heads > 1 else ''}"
        patches = f"patches {self.patch}×{self.patch} of {self.side}×{self.side}"
        return f"ViT, {self.depth} blocks of {self.dim}, {heads}, {patches}"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(channels, side, side): the learned positions fit one image size only."""
        return self.channels, self.side, self.side

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.classes

    @property
    def tokens(self) -> int:
        """Number of tokens: patches, and the class token if there is one."""
        return (self.side // self.patch) ** 2 + int(self.class_token)

    def plan(self) -> Plan:
        """Every parameter, by timm's names; there are no buffers."""
        plan, dim = Plan(), self.dim
        if self.class_token:
            plan.parameters["cls_token"] = (1, 1, dim)
        plan.parameters["pos_embed"] = (1, self.tokens, dim)
        plan.layer("patch_embed.proj", (dim, self.channels, self.patch, self.patch))
        for index in range(self.depth):
            name = f"blocks.{index}"
            plan.scale(f"{name}.norm1", dim)
            plan.layer(f"{name}.attn.qkv", (3 * dim, dim))
            plan.layer(f"{name}.attn.proj", (dim, dim))
            plan.scale(f"{name}.norm2", dim)
            plan.layer(f"{name}.mlp.fc1", (self.hidden, dim))
            plan.layer(f"{name}.mlp.fc2", (dim, self.hidden))
        plan.scale("norm", dim)
        plan.layer("head", (self.classes, dim))
        return plan

    @classmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """ViTs of these shapes with every plausible number of heads; none without patches and positions."""
        if "patch_embed.proj.weight" not in shapes or len(shapes.get("pos_embed", ())) != 3:
            return []
        dim, channels, patch = leading(shapes["patch_embed.proj.weight"], (64, 3, 4))
        depth = len({m[1] for name in shapes if (m := re.match(r"blocks\.(\d{1,3})\.", name))})
        [hidden] = leading(shapes.get("blocks.0.mlp.fc1.weight"), (4 * dim,))
        [classes] = leading(shapes.get("head.weight"), (10,))
        token = "cls_token" in shapes
        side = (side_of(shapes["pos_embed"][1] - int(token)) or 8) * patch
        heads = dict.fromkeys(dim // size for size in _HEAD_SIZES if dim % size == 0) or {1: None}
        return [cls(dim, depth, count, hidden, patch, side, token, classes, channels) for count in heads]
