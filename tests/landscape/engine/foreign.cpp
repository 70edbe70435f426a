// The native module in a program of its own, so that it runs where Python does not: under an emulator of another
// processor. Reads a program of lanes from a folder, makes the numbers of a Winograd layer and of a perceptron itself,
// and writes what the kernels answer, for test_foreign.py to compare.
#include "../../landscape/engine/native/lanes.cpp"

#include <cstdio>
#include <cstdlib>
#include <string>

typedef std::vector<float> Numbers;

static std::string folder;

template <class T>
static std::vector<T> given(const char* name) {
    std::FILE* file = std::fopen((folder + "/" + name).c_str(), "rb");
    if (!file) std::exit(2);
    std::fseek(file, 0, SEEK_END);
    std::vector<T> found(std::ftell(file) / sizeof(T));
    std::rewind(file);
    if (std::fread(found.data(), sizeof(T), found.size(), file) != found.size()) std::exit(3);
    std::fclose(file);
    return found;
}

static void answer(const std::string& name, const Numbers& numbers) {
    std::FILE* file = std::fopen((folder + "/" + name).c_str(), "wb");
    std::fwrite(numbers.data(), sizeof(float), numbers.size(), file);
    std::fclose(file);
}

static float* aligned(int64_t count) {
    return static_cast<float*>(std::aligned_alloc(64, (count * 4 + 127) / 64 * 64));
}

// Numbers between -1 and 1 that every processor makes alike.
static Numbers drawn(int64_t count) {
    static uint32_t state = 1;
    Numbers found(count);
    for (float& number : found) {
        state = state * 1664525u + 1013904223u;
        number = static_cast<float>(static_cast<int32_t>(state >> 8) - 8388608) / 8388608.0f;
    }
    return found;
}

static void run_lanes(int lanes, const std::string& name) {
    // lines, outer lines, block, input, output, scores, weights, images, numbers of an image
    const auto sizes = given<int64_t>("sizes"), program = given<int64_t>("program");
    const auto stretches = given<int64_t>("stretches"), tables = given<int64_t>("tables");
    const auto center = given<float>("center"), steps = given<float>("steps"), images = given<float>("images");
    const float at[2][4] = {{0.3f, 0.25f, -0.2f, 0.15f}, {-0.2f, -0.13f, 0.06f, 0.5f}};
    float *coefficients = aligned(2 * lanes), *weights = aligned(sizes[6] * lanes);
    float* outputs = aligned(sizes[5] * sizes[7] * lanes);
    for (int lane = 0; lane < 2 * lanes; ++lane) coefficients[lane] = at[lane / lanes][lane % 4];
    lanes_weights(lanes, center.data(), steps.data(), 2, sizes[6], coefficients, weights);
    const Run run = {reinterpret_cast<const Instruction*>(program.data()),
                     reinterpret_cast<const Stretch*>(stretches.data()), static_cast<int64_t>(stretches.size()) / 2,
                     weights, tables.data(), images.data(), sizes[7], sizes[8], sizes[3], sizes[2],
                     aligned(sizes[0] * lanes), aligned(sizes[1] * lanes), outputs, sizes[5], sizes[4]};
    lanes_run(lanes, &run);
    Numbers first;
    for (int64_t i = 0; i < sizes[5] * sizes[7]; ++i)
        first.insert(first.end(), outputs + i * lanes, outputs + i * lanes + 4);
    answer("lanes." + name, first);
}

static void run_winograd(int lanes, const std::string& name) {
    const int64_t images = 3, height = 7, width = 6, channels = 32, filters = 48;
    const Numbers x = drawn(images * height * width * channels), kernel = drawn(filters * 9 * channels);
    const Numbers bias = drawn(filters);
    const Numbers other = drawn(images * height * width * filters);
    Numbers weights(16 * filters * channels), y(other.size());
    winograd_weights(lanes, kernel.data(), channels, filters, weights.data());
    const Winograd layer = {x.data(), weights.data(), bias.data(), other.data(), y.data(), images, height, width,
                            channels, filters, height, width, 1, 1};
    if (winograd_run(lanes, &layer, 2)) std::exit(4);
    answer("winograd." + name, y);
}

// From (filters, channels) to (block of filters, channel, filter in the block).
static void pack(Numbers& to, const Numbers& weight, int64_t filters, int64_t lanes) {
    const int64_t block = winograd_filters(lanes, filters), channels = weight.size() / filters;
    for (int64_t first = 0; first < filters; first += block)
        for (int64_t channel = 0; channel < channels; ++channel)
            for (int64_t i = 0; i < block; ++i) to.push_back(weight[(first + i) * channels + channel]);
}

static void run_perceptron(int lanes, const std::string& name) {
    const int64_t samples = 29, rows = perceptron_rows(lanes), groups = (samples + rows - 1) / rows;
    const Numbers x = drawn(samples * 32), one = drawn(48 * 32), first = drawn(48), two = drawn(16 * 48), second = drawn(16);
    Numbers numbers(groups * rows * 32), weights, y(10 * samples);
    for (int64_t i = 0; i < samples; ++i)
        for (int64_t c = 0; c < 32; ++c)
            numbers[i / rows * rows * 32 + c / lanes * rows * lanes + i % rows * lanes + c % lanes] = x[i * 32 + c];
    pack(weights, one, 48, lanes);
    weights.insert(weights.end(), first.begin(), first.end());
    const int64_t start = weights.size();
    pack(weights, two, 16, lanes);
    weights.insert(weights.end(), second.begin(), second.end());
    const PerceptronLayer layers[2] = {{32, 48, 1, 0, 48 * 32}, {48, 16, 0, start, start + 16 * 48}};
    const Perceptron given = {numbers.data(), weights.data(), nullptr, layers, 2, 0, samples, 10, 1, 1, 0, y.data()};
    if (perceptron_run(lanes, &given)) std::exit(5);
    answer("perceptron." + name, y);
}

int main(int, char** arguments) {
    folder = arguments[1];
    const int lanes = lanes_width(arguments[2]);
    if (!lanes) return 1;
    run_lanes(lanes, arguments[3]);
    run_winograd(lanes, arguments[3]);
    run_perceptron(lanes, arguments[3]);
    return 0;
}
