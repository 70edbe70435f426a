"""SHA-256 of models, to tell whether two are equal bit for bit. For data see data.dataset.data_digest."""

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


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
