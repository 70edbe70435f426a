// Whole networks at several points of a landscape at once: one grid point per SIMD lane.
//
// Imports nothing but the C++ runtime; plain C interface, called through ctypes by lanes.py. The kernels in kernels.inc
// are compiled once per instruction set and the best one the machine has is taken at run time. Every lane computes what
// a lone point would compute, in the same order, so a value does not depend on its neighbours.

#include <cstdint>
#include <cstring>

namespace {

// One instruction of a network, as program.py writes it. Values are offsets in lines, a line being the lanes of one
// number of one image, in the workspace of the stretch or in the outer one; weights are offsets in lines.
struct Instruction {
    int64_t kind, input, other, output, weight, bias, relu;
    int64_t channels, height, width;              // of the input
    int64_t out_channels, out_height, out_width;  // of the output
    int64_t kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, groups;
    int64_t tile;   // filters computed together
    int64_t table;  // gather: offset into the tables
    int64_t input_outer, other_outer, output_outer;
};
static_assert(sizeof(Instruction) == 27 * sizeof(int64_t), "program.py writes 27 numbers per instruction");

enum Kind : int64_t { CONVOLUTION, AFFINE, ADD, RELU, MAX_POOL, AVERAGE_POOL, GATHER };

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
};

inline int64_t low(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t high(int64_t a, int64_t b) { return a > b ? a : b; }

constexpr int IMAGES = 6;  // images in a register tile

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
#include "kernels.inc"
#undef SPACE
#undef LANES
#undef FILTERS
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
#include "kernels.inc"
#undef SPACE
#undef LANES
#undef FILTERS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

// What every processor of the architecture has: NEON on ARM, SSE2 on x86.
#define SPACE portable
#define LANES 4
#if defined(__aarch64__)
#define FILTERS 4
#else
#define FILTERS 2
#endif
#include "kernels.inc"
#undef SPACE
#undef LANES
#undef FILTERS

extern "C" {

// Raised with every change of the structures above: lanes of another version are not used.
int lanes_version(void) { return 3; }

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

int lanes_images(void) { return IMAGES; }

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
}
