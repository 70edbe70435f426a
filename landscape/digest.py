"""SHA-256 of models and of data: whether two are the same, to the last bit.

Imports torch and data.
"""

import hashlib

import torch
from torch import Tensor, nn


def state_digest(model: nn.Module) -> str:
    """SHA-256 (hex) over names, types, shapes and bytes of all parameters and buffers of `model`."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def data_digest(images: Tensor, labels: Tensor) -> str:
    """SHA-256 (hex) over shapes and bytes of samples and labels, as `Dataset.digest`."""
    from .data import Dataset

    return Dataset("", "", images.cpu(), labels.cpu(), 0, (), ()).digest


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
