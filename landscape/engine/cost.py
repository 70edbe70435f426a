"""What a back end would take per image, from shapes alone: the fixed rule that picks one.

Imports layers, program. The rates are round numbers from one machine (docs/performance.md, attempt 4), and only their
ratio matters: nothing is timed here, so that the same request is computed the same way in any process.
"""

from .layers import Layer, Network
from .program import Program

LANES_RATE = 110.0  # GFLOP/s on one core at AVX-512, on the taps inside the picture
CACHED_LINES = 24_576  # weights of one layer beyond 1.5 MiB of lanes fall out of the second-level cache
BEYOND_CACHE = 0.5  # share of the rate that remains
SMALL_MATRIX = 250_000  # weights; a product with fewer is over before torch is up to speed
SMALL_MATRIX_RATE = 55.0


def lanes_time(program: Program, lanes: int) -> float:
    """Estimated nanoseconds per image and point on vectors of `lanes` lanes."""
    rate = LANES_RATE * lanes / 16
    return sum(work / (rate if lines <= CACHED_LINES else rate * BEYOND_CACHE) for work, lines in program.parts)


def fused_time(network: Network) -> float:
    """Estimated nanoseconds per image and point through oneDNN's fused convolutions."""
    return sum(_fused(network, layer) for layer in network.layers if layer.kind in ("convolution", "linear"))


def _fused(network: Network, layer: Layer) -> float:
    weight, shape = layer.weights[0], network.shapes[layer.result]
    if weight is None or shape is None:
        return 0.0
    pixels = 1
    for size in shape[1:]:
        pixels *= size
    small = layer.kind == "linear" and weight.center.numel() < SMALL_MATRIX
    rate = SMALL_MATRIX_RATE if small else _fused_rate(min(weight.center.shape[:2]), pixels)
    return 2.0 * weight.center.numel() * pixels / rate


def _fused_rate(channels: int, pixels: int) -> float:
    """GFLOP/s of one core: narrow layers leave vectors empty, small pictures leave the rest of a kernel idle."""
    if channels <= 8:
        return 25.0
    if channels <= 16:
        return 65.0 if pixels <= 64 else 140.0
    if channels <= 32:
        return 95.0 if pixels <= 64 else 170.0
    return 180.0
