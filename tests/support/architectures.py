"""A small network of every family, with the shape of a batch that it takes."""

from landscape.models.densenet import DenseNet
from landscape.models.mlp_lenet import MLP, LeNet
from landscape.models.recognize import Architecture
from landscape.models.resnet import DeepResNet
from landscape.models.vgg import VGG
from landscape.models.vit import ViT

CHAIN = (("слой.0", True), ("слой.2", False), ("head", True))
SMALL: dict[str, tuple[Architecture, tuple[int, ...]]] = {
    "resnet, basic": (DeepResNet((1, 2, 1, 1), False, 7, 4, 5, 2), (3, 2, 40, 33)),
    "resnet, bottleneck": (DeepResNet((1, 2, 1, 1), True, 7, 4, 5), (3, 3, 40, 33)),
    "resnet, CIFAR stem": (DeepResNet((1, 2, 1, 1), False, 3, 4, 5, 1, "shortcut"), (3, 1, 9, 16)),
    "resnet, CIFAR stem, torchvision's names": (DeepResNet((2, 1, 1, 1), True, 3, 4, 5), (3, 3, 9, 16)),
    "vgg": (VGG((4, "M", 6, 6, "M"), False, "three", 12, 7, 5), (3, 3, 30, 31)),
    "vgg, BatchNorm": (VGG((4, "M", 6, 6, "M"), True, "three", 12, 2, 5), (3, 3, 17, 16)),
    "vgg, CIFAR head": (VGG((4, 4, "M", 6, "M"), True, "one", 4096, 1, 5), (3, 3, 8, 12)),
    "vgg, normalized head": (VGG((4, 4, "M", 6, "M"), True, "normalized", 7, 2, 5), (3, 3, 8, 8)),
    "densenet, CIFAR": (DenseNet((2, 3, 1), 4, 6, 5, 2), (3, 2, 9, 12)),
    "densenet, torchvision": (DenseNet((2, 3), 4, 6, 5, 3, "torchvision"), (3, 3, 36, 40)),
    "vit": (ViT(24, 2, 3, 40, 2, 8, True, 5), (3, 3, 8, 8)),
    "vit without class token": (ViT(16, 1, 2, 40, 4, 8, False, 5, 1), (3, 1, 8, 8)),
    "lenet": (LeNet(tuple((n, True) for n in ("c1", "c2", "f1", "f2")), (1, 3, 4), (5, 5), (9, 5)), (3, 1, 28, 28)),
    "mlp": (MLP(CHAIN, (12, 7, 6, 5), "tanh"), (3, 3, 2, 2)),
}
