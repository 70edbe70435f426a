// Whole networks at several points of a landscape at once: one grid point per SIMD lane.
//
// A plain C interface, called through ctypes; needs nothing but the C++ runtime. The kernels in the .inc files are
// compiled once per instruction set, and the best one that the machine has is taken at run time. Every lane computes what
// a lone point would compute, in the same order, so a value does not depend on its neighbors. winograd.inc, direct.inc,
// statistics.inc and perceptron.inc compute one point, with channels or filters in the lanes.

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace {

// One instruction of a network, as lanes/program.py writes it. Values are offsets in lines, a line being the lanes of one
// number of one image, in the workspace of the stretch or in the outer one; weights are offsets in lines.
struct Instruction {
    int64_t kind, input, other, output, weight, bias, relu;
    int64_t channels, height, width;              // of the input
    int64_t out_channels, out_height, out_width;  // of the output
    int64_t kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, groups;
    int64_t tile;   // filters computed together
    int64_t table;  // gather: offset into the tables
    int64_t input_outer, other_outer, output_outer;
    int64_t epsilon, state;  // normalize: offset into the weights; and statistics: into the statistics, in lines
};
static_assert(sizeof(Instruction) == 29 * sizeof(int64_t), "program.py writes 29 numbers per instruction");

enum Kind : int64_t { CONVOLUTION, AFFINE, ADD, RELU, MAX_POOL, AVERAGE_POOL, GATHER, STATISTICS, NORMALIZE };

// Consecutive instructions that run with `block` images at a time, up to instruction `end`.
struct Stretch {
    int64_t end, block;
};

struct Run {
    const Instruction* program;
    const Stretch* stretches;
    int64_t stretch_count;
    const float* weights;   // lines
    const int64_t* tables;  // sources of gathers
    const float* images;    // (count, numbers), the order of the pixels of a value
    int64_t count, numbers, input;
    int64_t outer_block;  // images in flight, a multiple of the block of every stretch
    float* workspace;     // values of one stretch
    float* outer;         // values that pass from one stretch to another
    float* outputs;       // (scores, count, lanes)
    int64_t scores, output;
    float* statistics;  // lines: STATE per channel of every BatchNorm that takes its statistics from the images of the run
};

// A convolution of 3×3 with stride one at one point; images channels-last, weights as winograd_weights leaves them.
struct Winograd {
    const float *input, *weights, *bias, *other;  // `other` is added to the result, where it is given
    float* output;
    int64_t images, height, width, channels, filters, out_height, out_width, padding, relu;
};

// BatchNorm with the statistics of its batch, of images channels-last: relu((raw − mean) · scale + shift + other).
struct BatchNorm {
    const float *raw, *mean, *scale, *shift, *other;
    float* kept;  // the result, where it is needed beyond the convolution that reads it
    int64_t relu;
};

// A value between convolutions: of all images, or in the workspace for the images in flight.
struct ChainValue {
    float* all;
    int64_t numbers, start;  // of one image; in the workspace
};

// Consecutive convolutions, `group` images through all of them before the next; pointers to values are filled in.
struct ChainLayer {
    int64_t input, other, output;  // values; `other` negative: none
    int64_t size, stride;          // of the windows; a size of 0: by Winograd
    Winograd at;
};

struct Chain {
    const ChainLayer* layers;
    const ChainValue* values;
    int64_t layer_count, group, images, workspace;  // the last in numbers
};

// A layer of a perceptron: sizes filled up to whole vectors; weights (block of filters, channel, filter in the block).
struct PerceptronLayer {
    int64_t channels, filters, relu, weight, bias;  // the last two are offsets
};

// Linear layers at `count` points; samples as (group of TILES, block of channels, sample in the group, channel in the
// block). With `terms`, `numbers` are instead what the first layer makes of the samples at the center and along every
// direction, one after another: it is affine in the coefficients.
struct Perceptron {
    const float *numbers, *weights, *coefficients;  // coefficients: (count, terms - 1)
    const PerceptronLayer* layers;
    int64_t layer_count, terms, samples, scores, points, count, weight_stride;
    float* outputs;  // (scores, samples, points), of which the first `count` points are written
};

// A convolution of amx.inc: a sum over `steps` of tiles at `offsets` from a position, times tiles of weights. Offsets and
// distances are bytes; a row of the result is `tiles` tiles of 16 positions, a block is 32 filters.
struct AmxLayer {
    int64_t input, output, other;          // in the workspace; `other`, laid out as `output`, is added; negative: none
    int64_t input_group, output_group;     // from one group of images to the next
    int64_t rows, tiles, row, position;    // distances of rows and positions of the input
    int64_t out_row, out_position, out_first, out_second;  // of the result; its first and last 16 filters
    int64_t steps, offsets, weights, bias, blocks, relu;   // the second to fourth: where in the arrays of the run
};

// A copy of an image into or out of the workspace. `halved` is 1 where even and odd pixels lie apart, by `odd`.
struct AmxCopy {
    char* external;  // (images, height, width, channels)
    int64_t start, group, image, channels, height, width, row, pixel, odd, halved;
};

// Consecutive convolutions, `group` images side by side and `groups` of them at a time.
struct Amx {
    const AmxLayer* layers;
    const int64_t* offsets;
    const char* weights;
    const float* bias;
    const AmxCopy *in, *out;
    int64_t layer_count, in_count, out_count, group, groups, images, workspace;
};

inline int64_t minimum(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t maximum(int64_t a, int64_t b) { return a > b ? a : b; }

constexpr int IMAGES = 6;  // images in a register tile
constexpr int64_t WINOGRAD_WEIGHTS = 1 << 18;  // transformed weights that stay in the second-level cache: 1 MiB
constexpr int64_t WINOGRAD_SPACE = 1 << 18;
constexpr int64_t PERCEPTRON_SPACE = 1 << 17;  // numbers between two layers: half a MiB
constexpr int64_t BLOCK_ROWS = 48, GROUP_ROWS = 4096;  // pixels whose sums are joined, and that a thread takes at once
constexpr int64_t BATCH_NORM_SPACE = 1 << 16;  // numbers that are normalized just before a convolution reads them: 256 KiB
constexpr int MOST_THREADS = 256;

}  // namespace

#if defined(__x86_64__) && defined(__GNUC__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,fma")
#endif
#define SPACE avx512
#define LANES 16
#define FILTERS 4
#define TILES 12
#include "kernels.inc"
#include "winograd.inc"
#include "direct.inc"
#include "statistics.inc"
#include "perceptron.inc"
#undef SPACE
#undef LANES
#undef FILTERS
#undef TILES
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define SPACE avx2
#define LANES 8
#define FILTERS 2
#define TILES 6
#include "kernels.inc"
#include "winograd.inc"
#include "direct.inc"
#include "statistics.inc"
#include "perceptron.inc"
#undef SPACE
#undef LANES
#undef FILTERS
#undef TILES
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

// The instructions of AMX need a system that saves their registers, and a compiler of 2021 or later.
#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 11))
#define WITH_AMX
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")
#endif
#include "amx.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace {

// Whether the processor has the instructions and the system lets this process use them.
bool amx_here() {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) return false;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || (a >> 5 & 1) == 0) return false;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
        return false;
    constexpr int ASK_FOR_STATE = 0x1023, TILE_DATA = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XTILE_DATA)
    return syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
}

}  // namespace
#endif

// What every processor of the architecture has: NEON on ARM, SSE2 on x86.
#define SPACE portable
#define LANES 4
#define TILES 6
#if defined(__aarch64__)
#define FILTERS 4
#else
#define FILTERS 2
#endif
#include "kernels.inc"
#include "winograd.inc"
#include "direct.inc"
#include "statistics.inc"
#include "perceptron.inc"
#undef SPACE
#undef LANES
#undef FILTERS
#undef TILES

namespace {

// `work` of `first` to `end`; `full` is set where memory was refused.
template <class Work>
void try_part(const Work& work, int64_t first, int64_t end, std::atomic<int>& full) {
    try {
        work(first, end);
    } catch (const std::bad_alloc&) {
        full = 1;
    }
}

// `work` of 0 to `count`, shared among threads: 0, or 1 where memory was refused. Threads are started for every call: a
// process may fork between two calls, and a layer takes longer than starting a thread. The share of a thread that could
// not be started is computed here.
template <class Work>
int in_threads(int64_t count, int threads, const Work& work) {
    const int64_t share = (count + threads - 1) / threads;
    std::atomic<int> full{0};
    std::thread others[MOST_THREADS];
    int made = 0;
    int64_t first = 0;
    try {
        for (; made < minimum(threads - 1, MOST_THREADS) && first + share < count; first += share, ++made)
            others[made] = std::thread(try_part<Work>, std::cref(work), first, first + share, std::ref(full));
    } catch (const std::exception&) {
    }
    try_part(work, first, count, full);
    for (int i = 0; i < made; ++i) others[i].join();
    return full;
}

}  // namespace

extern "C" {

// Raised with every change of the structures above: a module of another version is not used.
int lanes_version(void) { return 8; }

// How many lanes the instruction set called `name` has, 0 where this machine or this build lacks it.
int lanes_width(const char* name) {
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (!std::strcmp(name, "avx512")) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? 16 : 0;
    if (!std::strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8 : 0;
#endif
    return std::strcmp(name, "portable") ? 0 : 4;
}

// Filters in a register tile of the instruction set with `lanes` lanes.
int lanes_filters(int lanes) {
#if defined(__x86_64__)
    return lanes == 16 ? 4 : 2;
#else
    (void)lanes;
    return 4;
#endif
}

// weights[i][lane] = center[i] + sum over k of coefficients[k][lane] * steps[k][i]
void lanes_weights(int lanes, const float* center, const float* steps, int64_t directions, int64_t count,
                   const float* coefficients, float* weights) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (lanes == 16) return avx512::make_weights(center, steps, directions, count, coefficients, weights);
    if (lanes == 8) return avx2::make_weights(center, steps, directions, count, coefficients, weights);
#endif
    (void)lanes;
    portable::make_weights(center, steps, directions, count, coefficients, weights);
}

void lanes_run(int lanes, const void* run) {
    const Run& given = *static_cast<const Run*>(run);
#if defined(__x86_64__) && defined(__GNUC__)
    if (lanes == 16) return avx512::run(given);
    if (lanes == 8) return avx2::run(given);
#endif
    (void)lanes;
    portable::run(given);
}
// How many filters one line of transformed weights holds, for vectors of `lanes` numbers.
int winograd_filters(int lanes, int64_t filters) { return filters % (2 * lanes) ? lanes : 2 * lanes; }

// From (filters, 3, 3, channels) to (position, block of filters, channel, filter in the block): G w Gᵀ.
void winograd_weights(int lanes, const float* weights, int64_t channels, int64_t filters, float* transformed) {
    const int64_t width = winograd_filters(lanes, filters);
#if defined(__x86_64__) && defined(__GNUC__)
    if (lanes == 16) return avx512::winograd_weights(weights, channels, filters, width, transformed);
    if (lanes == 8) return avx2::winograd_weights(weights, channels, filters, width, transformed);
#endif
    portable::winograd_weights(weights, channels, filters, width, transformed);
}

static int64_t winograd_tiles(const Winograd& given) {
    return given.images * ((given.out_height + 1) / 2) * ((given.out_width + 1) / 2);
}

// Tiles `first` to `end`.
static void winograd_part(int lanes, const Winograd& given, int64_t first, int64_t end) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (lanes == 16) return avx512::winograd(given, first, end);
    if (lanes == 8) return avx2::winograd(given, first, end);
#endif
    (void)lanes;
    portable::winograd(given, first, end);
}

// 0, or 1 where memory was refused.
int winograd_run(int lanes, const void* run, int threads) {
    const Winograd& given = *static_cast<const Winograd*>(run);
    return in_threads(winograd_tiles(given), threads,
                      [&](int64_t first, int64_t end) { winograd_part(lanes, given, first, end); });
}

static void direct_all(int lanes, const Winograd& given, int64_t size, int64_t stride) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (lanes == 16) return avx512::direct(given, size, stride);
    if (lanes == 8) return avx2::direct(given, size, stride);
#endif
    (void)lanes;
    portable::direct(given, size, stride);
}

// Images `first` to `end`.
static void chain_part(int lanes, const Chain& given, int64_t first, int64_t end) {
    const std::unique_ptr<float[]> buffer(new float[given.workspace + 16]);
    float* space = buffer.get() + (64 - reinterpret_cast<uintptr_t>(buffer.get()) % 64) % 64 / sizeof(float);
    for (; first < end; first += given.group) {
        const auto value = [&](int64_t index) {
            if (index < 0) return static_cast<float*>(nullptr);
            const ChainValue& found = given.values[index];
            return found.all ? found.all + first * found.numbers : space + found.start;
        };
        for (int64_t i = 0; i < given.layer_count; ++i) {
            const ChainLayer& layer = given.layers[i];
            Winograd at = layer.at;
            at.input = value(layer.input), at.other = value(layer.other), at.output = value(layer.output);
            at.images = minimum(given.group, end - first);
            layer.size ? direct_all(lanes, at, layer.size, layer.stride) : winograd_part(lanes, at, 0, winograd_tiles(at));
        }
    }
}

// 0, or 1 where memory was refused.
int chain_run(int lanes, const void* run, int threads) {
    const Chain& given = *static_cast<const Chain*>(run);
    return in_threads((given.images + given.group - 1) / given.group, threads, [&](int64_t first, int64_t end) {
        chain_part(lanes, given, first * given.group, minimum(end * given.group, given.images));
    });
}

// Whether this machine, this build and this process may use amx_run.
int amx_available(void) {
#if defined(WITH_AMX)
    return amx_here();
#else
    return 0;
#endif
}

// 0, or 1 where memory was refused.
int amx_run(const void* run, int threads) {
#if defined(WITH_AMX)
    const Amx& given = *static_cast<const Amx*>(run);
    return in_threads((given.images + given.group - 1) / given.group, threads, [&](int64_t first, int64_t end) {
        amx::run(given, first * given.group, minimum(end * given.group, given.images));
    });
#else
    (void)run, (void)threads;
    return 1;
#endif
}

// Samples that a perceptron takes together.
int perceptron_rows(int lanes) { return lanes == 16 ? 12 : 6; }

// 0, or 1 where memory was refused.
int perceptron_run(int lanes, const void* run) {
    const Perceptron& given = *static_cast<const Perceptron*>(run);
    try {
#if defined(__x86_64__) && defined(__GNUC__)
        if (lanes == 16) return avx512::perceptron(given), 0;
        if (lanes == 8) return avx2::perceptron(given), 0;
#endif
        (void)lanes;
        return portable::perceptron(given), 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
}

#include "batch_statistics.inc"
