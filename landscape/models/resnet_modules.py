"""ResNets with four stages as modules."""

import torch.nn.functional as F
from torch import Tensor, nn

from .resnet import DeepResNet


class DeepBlock(nn.Module):
    """Two 3×3 convolutions, or 1×1, 3×3, 1×1, each with BatchNorm, and the shortcut around them."""

    def __init__(self, inputs: int, planes: int, *, stride: int, bottleneck: bool, naming: str):
        super().__init__()
        outputs = 4 * planes if bottleneck else planes
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        sizes = (inputs, *[planes] * (len(kernels) - 1), outputs)
        strided = 1 if bottleneck else 0  # the 3×3 convolution that has the stride
        self.count = len(kernels)
        for index, kernel in enumerate(kernels):
            step = stride if index == strided else 1
            convolution = nn.Conv2d(
                sizes[index], sizes[index + 1], kernel, stride=step, padding=kernel // 2, bias=False
            )
            self.add_module(f"conv{index + 1}", convolution)
            self.add_module(f"bn{index + 1}", nn.BatchNorm2d(sizes[index + 1]))
        self.naming = naming
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.add_module(naming, nn.Sequential(projection, nn.BatchNorm2d(outputs)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉)."""
        layers, out = dict(self.named_children()), x
        for index in range(1, self.count + 1):
            out = layers[f"bn{index}"](layers[f"conv{index}"](out))
            out = F.relu(out) if index < self.count else out
        shortcut = layers.get(self.naming)
        return F.relu(out + (x if shortcut is None else shortcut(x)))


class DeepResNetModule(nn.Module):
    """Images (N, channels, H, W) -> logits (N, classes), any H and W."""

    def __init__(self, architecture: DeepResNet):
        super().__init__()
        a, inputs = architecture, architecture.width
        self.stem, self.last = a.stem, "fc" if a.naming == "downsample" else "linear"
        self.conv1 = nn.Conv2d(
            a.channels, a.width, a.stem, stride=2 if a.stem == 7 else 1, padding=a.stem // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(a.width)
        for stage, count in enumerate(a.blocks):
            planes, stage_blocks = a.width << stage, []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                stage_blocks.append(DeepBlock(inputs, planes, stride=stride, bottleneck=a.bottleneck, naming=a.naming))
                inputs = planes * a.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stage_blocks))
        self.add_module(self.last, nn.Linear(inputs, a.classes))

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        layers = dict(self.named_children())
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.max_pool2d(x, 3, 2, 1) if self.stem == 7 else x
        for stage in range(1, 5):
            x = layers[f"layer{stage}"](x)
        logits: Tensor = layers[self.last](x.mean(dim=(2, 3)))
        return logits
