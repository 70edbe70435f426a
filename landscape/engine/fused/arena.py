"""Memory for large results, reused once no tensor refers to it, since every fresh page costs a page fault.

Used by batch_statistics.py, whose batches are larger than the cache. Never kept beyond one call of `values`: see
`clear`.

Measured: freeing and reallocating 16 MiB cost ResNet-20 60 000 page faults per point, 13 % of its time with the
statistics of batches of 256 (docs/performance.md, attempt 14b). Off: `SMALL = sys.maxsize`.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

SMALL = 1 << 18  # numbers; below 1 MiB the allocator keeps freed memory
LINE = 16  # numbers, 64 bytes: the alignment of vectors
IDLE = 2  # references to an unused block: the list's and `getrefcount`'s


class Arena:
    """Blocks of memory; a block is idle once all tensors and views on it are gone."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []

    def empty(self, shape: Sequence[int]) -> Tensor:
        """Uninitialized float32 numbers (images, channels, height, width), channels-last."""
        images, channels, height, width = shape
        return self._numbers(math.prod(shape)).view(images, height, width, channels).permute(0, 3, 1, 2)

    def _numbers(self, count: int) -> Tensor:
        if count < SMALL:
            return torch.empty(count)
        sizes = {len(self.blocks[at]): at for at in range(len(self.blocks)) if sys.getrefcount(self.blocks[at]) == IDLE}
        fitting = min((size for size in sizes if size >= count + LINE), default=0)
        if not fitting:
            self.blocks.append(np.empty(count + LINE, np.float32))
        block = torch.from_numpy(self.blocks[sizes[fitting] if fitting else -1])
        skip = -block.data_ptr() % (4 * LINE) // 4
        return block[skip : skip + count]

    def clear(self) -> None:
        """Free every block that no tensor uses."""
        self.blocks = []
