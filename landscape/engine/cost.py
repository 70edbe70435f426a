"""Estimated time of a back end per image, from shapes alone; the fixed rule compares the estimates.

The rates are round numbers from one machine (docs/performance.md, attempts 4 and 10), and only their ratio matters:
nothing is timed here, so that the same request is computed the same way in any process.
"""

import math

from .fused import winograd
from .graph.layers import Layer, Network

LANES_RATE = 110.0  # GFLOP/s on one core with AVX-512, counting only taps inside the image
CACHED_LINES = 24_576  # weights of one layer; above 1.5 MiB of lanes they exceed the second-level cache
BEYOND_CACHE = 0.5  # share of the rate that remains beyond it
SMALL_MATRIX = 250_000  # weights; for smaller products torch's overhead dominates
SMALL_MATRIX_RATE = 55.0
WINDOW = ("stride", "padding", "dilation")
WINOGRAD_RATES = {16: (190.0, 240.0, 300.0), 8: (130.0, 165.0, 205.0)}  # by lanes: below 32 channels, below 64, above


def lanes_time(network: Network, lanes: int) -> float:
    """Estimated nanoseconds per image and point on vectors of `lanes` lanes."""
    rate = LANES_RATE * lanes / 16
    weighted = [(lanes_work(network, layer), layer.weights[0]) for layer in _weighted(network)]
    return sum(
        work / (rate if weight is not None and weight.center.numel() <= CACHED_LINES else rate * BEYOND_CACHE)
        for work, weight in weighted
    )


def lanes_work(network: Network, layer: Layer) -> float:
    """Multiplications and additions for one image at one point, without taps outside the image."""
    weight, given, out = layer.weights[0], layer.settings, network.shapes[layer.result]
    shape = network.shapes[layer.inputs[0]]
    if weight is None or shape is None or out is None:
        return 0.0
    taps = 1
    for axis, (size, end, kernel) in enumerate(zip(shape[1:], out[1:], weight.center.shape[2:], strict=False)):
        stride, padding, dilation = (given[name][min(axis, len(given[name]) - 1)] for name in WINDOW)
        places = [at * stride - padding + tap * dilation for at in range(end) for tap in range(kernel)]
        taps *= sum(0 <= place < size for place in places)
    return 2.0 * math.prod(weight.center.shape[:2]) * taps


def total_work(network: Network) -> float:
    """`lanes_work` of all layers."""
    return sum(lanes_work(network, layer) for layer in _weighted(network))


def _weighted(network: Network) -> list[Layer]:
    return [layer for layer in network.layers if layer.kind in ("convolution", "linear")]


def fused_time(network: Network, lanes: int = 0) -> float:
    """Estimated nanoseconds per image and point through oneDNN's fused convolutions.

    Args:
        lanes: of the widest vectors, 0 without the native module.
    """
    return sum(_fused(network, layer, lanes) for layer in _weighted(network))


def _fused(network: Network, layer: Layer, lanes: int) -> float:
    weight, shape = layer.weights[0], network.shapes[layer.result]
    if weight is None or shape is None:
        return 0.0
    pixels = math.prod(shape[1:])
    channels = min(weight.center.shape[:2])
    if lanes in WINOGRAD_RATES and winograd.takes(layer):
        rate = WINOGRAD_RATES[lanes][0 if channels < 32 else 1 if channels < 64 else 2]
    elif layer.kind == "linear" and weight.center.numel() < SMALL_MATRIX:
        rate = SMALL_MATRIX_RATE
    else:
        rate = _fused_rate(channels, pixels)
    return 2.0 * weight.center.numel() * pixels / rate


def _fused_rate(channels: int, pixels: int) -> float:
    """GFLOP/s of one core: narrow layers leave vectors partly empty, small images leave kernels partly idle."""
    if channels <= 8:
        return 25.0
    if channels <= 16:
        return 65.0 if pixels <= 64 else 140.0
    if channels <= 32:
        return 95.0 if pixels <= 64 else 170.0
    return 180.0
