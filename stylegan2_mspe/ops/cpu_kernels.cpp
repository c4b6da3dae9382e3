// The passes over feature maps that PyTorch would make one by one, each as one loop over memory.
//
// Feature maps are channels-last, [N, H, W, C] in memory, float or bfloat16 (its bits in uint16_t); all else
// is float, and so is the arithmetic. No header of torch is needed: pointers and sizes come through ctypes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

// Sixteen channels at a time; the compiler maps this to whatever vectors the processor has.
constexpr int LANES = 16;
typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));

inline floats splat(float value) { return floats{} + value; }

inline floats load(const float* from) {
    floats value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

inline floats load(const uint16_t* from) {
#ifdef __AVX512F__
    return (floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)from)), 16);
#else
    halves value;
    std::memcpy(&value, from, sizeof value);
    return (floats)(__builtin_convertvector(value, words) << 16);
#endif
}

inline void store(float* to, floats value) { std::memcpy(to, &value, sizeof value); }

inline void store(uint16_t* to, floats value) {
#ifdef __AVX512BF16__
    const __m256bh result = _mm512_cvtneps_pbh((__m512)value);              // makes 0 of numbers below 1e-38
    std::memcpy(to, &result, sizeof result);
#else
    const words bits = (words)value;
    const words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;       // to nearest, ties to even
    const words nan = (words)(value != value);
    const halves result = __builtin_convertvector((nan & 0x7fc0) | (~nan & rounded), halves);
    std::memcpy(to, &result, sizeof result);
#endif
}

inline void add_to(float* to, floats value) { store(to, load(to) + value); }

inline float load_one(const float* from) { return *from; }

inline float load_one(const uint16_t* from) {
    const uint32_t bits = (uint32_t)*from << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline void store_one(float* to, float value) { *to = value; }

inline void store_one(uint16_t* to, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    *to = value != value ? 0x7fc0 : (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline floats select(ints mask, floats yes, floats no) { return mask ? yes : no; }

// The sum of the sixteen, by halves.
inline float total(floats value) {
    typedef float eight __attribute__((vector_size(32)));
    eight parts[2];
    std::memcpy(parts, &value, sizeof parts);
    const eight sum = parts[0] + parts[1];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

// A layer's epilogue: y = clamp(gain * lrelu(x * scale + noise + bias)) + gamma * encoding.
// Any of scale, noise, bias and rows/cols may be null.
struct Epilogue {
    int64_t count, height, width, channels;
    const float* scale;         // [N, C]
    const float* noise;         // [N or 1, H, W]
    int64_t noise_stride;       // H * W, or 0 where all samples share it
    const float* bias;          // [C]
    const float* rows;          // [N or 1, H, C / 2]
    const float* cols;          // [N or 1, W, C / 2]
    int64_t rows_stride, cols_stride;
    int64_t rows_first;         // whether rows go to the first half of the channels
    float gamma, slope, gain, clamp;        // clamp < 0: none
};

// What an epilogue needs along one row of pixels, for 16 channels: loaded once, before the pixels.
struct EpilogueRow {
    floats scale, bias;
    const float* noise;         // [W] or null
    const float* encoding;      // of the first pixel, or null
    int64_t encoding_step;      // to the next pixel: 0 in the row half of the channels

    EpilogueRow(const Epilogue& e, int64_t sample, int64_t i, int64_t channel)
        : scale(e.scale ? load(e.scale + sample * e.channels + channel) : splat(1)),
          bias(e.bias ? load(e.bias + channel) : floats{}),
          noise(e.noise ? e.noise + sample * e.noise_stride + i * e.width : nullptr),
          encoding(nullptr), encoding_step(0) {
        if (!e.rows) return;
        const int64_t half = e.channels / 2;
        const bool first = channel < half;
        const int64_t within = first ? channel : channel - half;
        const bool by_row = first == (e.rows_first != 0);
        encoding = by_row ? e.rows + sample * e.rows_stride + i * half + within
                          : e.cols + sample * e.cols_stride + within;
        encoding_step = by_row ? 0 : half;
    }

    floats before_activation(floats x, int64_t j) const {
        const floats u = x * scale + bias;
        return noise ? u + splat(noise[j]) : u;
    }
};

template <class T>
void epilogue_forward(const Epilogue& e, const T* x, T* y, int threads) {
    const floats gain = splat(e.gain), bent = splat(e.gain * e.slope), gamma = splat(e.gamma);
    const floats limit = splat(e.clamp < 0 ? INFINITY : e.clamp);
#pragma omp parallel for num_threads(threads)
    for (int64_t row = 0; row < e.count * e.height; row++) {
        for (int64_t channel = 0; channel < e.channels; channel += LANES) {
            const EpilogueRow r(e, row / e.height, row % e.height, channel);
            const int64_t width = e.width, step = e.channels;       // not read again after every store
            const T* from = x + row * width * step + channel;
            T* to = y + row * width * step + channel;
#pragma GCC unroll 4
            for (int64_t j = 0; j < width; j++) {
                const floats u = r.before_activation(load(from + j * step), j);
                floats v = u * select(u > 0, gain, bent);
                v = select(v > limit, limit, select(v < -limit, -limit, v));
                if (r.encoding) v += gamma * load(r.encoding + j * r.encoding_step);
                store(to + j * step, v);
            }
        }
    }
}

// From the gradient gy of y: gx, and per band of rows the sums that make the gradients of scale, bias and
// gamma: sums [bands of all samples, 3, C]; gnoise [N, H, W] or null. A band lies within one sample.
template <class T>
void epilogue_backward(const Epilogue& e, const T* x, const T* gy, T* gx, float* sums, float* gnoise,
                       int64_t band, int threads) {
    const floats gain = splat(e.gain), bent = splat(e.gain * e.slope);
    const floats limit = splat(e.clamp);
    const ints unbounded = e.clamp < 0 ? ~ints{} : ints{};
    const int64_t bands = (e.height + band - 1) / band;
#pragma omp parallel for num_threads(threads)
    for (int64_t task = 0; task < e.count * bands; task++) {
        const int64_t sample = task / bands;
        const int64_t first = task % bands * band, last = std::min(first + band, e.height);
        const int64_t above = sample * e.height;        // rows of the samples before
        float* out = sums + task * 3 * e.channels;
        std::fill(out, out + 3 * e.channels, 0.0f);
        const int64_t width = e.width, step = e.channels;
        std::vector<floats> line(gnoise ? width : 0);
        floats* const noise = gnoise ? line.data() : nullptr;
        for (int64_t i = first; i < last; i++) {
            std::fill(line.begin(), line.end(), floats{});
            for (int64_t channel = 0; channel < e.channels; channel += LANES) {
                const EpilogueRow r(e, sample, i, channel);
                const int64_t start = (above + i) * width * step + channel;
                floats gscale{}, gbias{}, ggamma{};
#pragma GCC unroll 4
                for (int64_t j = 0; j < width; j++) {
                    const int64_t at = start + j * step;
                    const floats input = load(x + at), gradient = load(gy + at);
                    const floats u = r.before_activation(input, j);
                    const floats factor = select(u > 0, gain, bent), v = u * factor;
                    const ints inside = unbounded | ((v <= limit) & (v >= -limit));
                    const floats g = select(inside, gradient * factor, floats{});
                    if (r.encoding) ggamma += gradient * load(r.encoding + j * r.encoding_step);
                    gscale += g * input;
                    gbias += g;
                    if (noise) noise[j] += g;
                    store(gx + at, g * r.scale);
                }
                add_to(out + channel, gscale);
                add_to(out + e.channels + channel, gbias);
                add_to(out + 2 * e.channels + channel, ggamma);
            }
            for (int64_t j = 0; j < (int64_t)line.size(); j++)
                gnoise[(above + i) * width + j] = total(line[j]);
        }
    }
}

// y[n, p, c] = x[n, p, c] * scale[n, c]
template <class T>
void scale_forward(const T* x, const float* scale, T* y, int64_t count, int64_t pixels, int64_t channels,
                   int threads) {
    const int64_t band = 256, bands = (pixels + band - 1) / band;
#pragma omp parallel for num_threads(threads)
    for (int64_t task = 0; task < count * bands; task++) {
        const int64_t sample = task / bands;
        const int64_t first = task % bands * band, last = std::min(first + band, pixels);
        for (int64_t channel = 0; channel < channels; channel += LANES) {
            const floats factor = load(scale + sample * channels + channel);
            const int64_t end = (sample * pixels + last) * channels;
#pragma GCC unroll 4
            for (int64_t at = (sample * pixels + first) * channels + channel; at < end; at += channels)
                store(y + at, load(x + at) * factor);
        }
    }
}

// gx = gy * scale, and per sample gscale[n, c] = sum over pixels of gy * x, in one pass.
template <class T>
void scale_backward(const T* x, const float* scale, const T* gy, T* gx, float* gscale,
                    int64_t count, int64_t pixels, int64_t channels, int threads) {
    const int64_t blocks = channels / LANES;
#pragma omp parallel for num_threads(threads)
    for (int64_t task = 0; task < count * blocks; task++) {
        const int64_t sample = task / blocks, channel = task % blocks * LANES;
        const floats factor = load(scale + sample * channels + channel);
        floats total{};
        const int64_t end = (sample + 1) * pixels * channels;
#pragma GCC unroll 4
        for (int64_t at = sample * pixels * channels + channel; at < end; at += channels) {
            const floats gradient = load(gy + at);
            total += gradient * load(x + at);
            store(gx + at, gradient * factor);
        }
        store(gscale + sample * channels + channel, total);
    }
}

// Which inputs, with which weights, make an output of a resampling along one axis.
struct Taps {
    std::vector<int64_t> begin;         // of each output, into the two below
    std::vector<int64_t> from;
    std::vector<float> weight;

    Taps(const float* filter, int64_t taps, int64_t up, int64_t down, int64_t pad,
         int64_t inputs, int64_t outputs) {
        for (int64_t out = 0; out < outputs; out++) {
            begin.push_back(from.size());
            for (int64_t tap = 0; tap < taps; tap++) {
                const int64_t fine = out * down + tap - pad;        // position in the zero-stuffed picture
                if (fine < 0 || fine % up || fine / up >= inputs) continue;
                from.push_back(fine / up);
                weight.push_back(filter[tap]);
            }
        }
        begin.push_back(from.size());
    }

    int64_t count(int64_t output) const { return begin[output + 1] - begin[output]; }

    // Whether `other` is made with the weights of `output` and of inputs `shift` further on.
    bool alike(int64_t output, int64_t other, int64_t shift) const {
        if (count(output) != count(other)) return false;
        for (int64_t a = begin[output], b = begin[other]; a < begin[output + 1]; a++, b++)
            if (weight[a] != weight[b] || from[a] + shift != from[b]) return false;
        return true;
    }
};

// Outputs that are made alike: each `step` outputs on, of inputs `shift` further on.
struct Run {
    int64_t first, count, step, shift;
};

// All outputs of an axis, which are few runs and their margins.
std::vector<Run> runs_of(const Taps& axis, int64_t up, int64_t down, int64_t outputs) {
    std::vector<Run> runs;
    for (int64_t phase = 0; phase < std::min(up, outputs); phase++)
        for (int64_t out = phase; out < outputs; out += up) {
            Run* last = out > phase ? &runs.back() : nullptr;
            if (last && axis.alike(out - up, out, down)) last->count++;
            else runs.push_back({out, 1, up, down});
        }
    return runs;
}

// out[n * out_step + at] = the sum over taps of weight[tap] * in[from[tap] * stride + n * in_step + at],
// for n < count and at < length. K is the number of taps; 0 = any, namely `taps`.
template <int K, class T, class U>
inline void weighted_sums(const T* in, const int64_t* from, const float* weight, int64_t taps, int64_t stride,
                          int64_t count, int64_t in_step, int64_t out_step, int64_t length, U* out) {
    const int64_t many = K ? K : taps;
    floats weights[K ? K : 1];
    const T* starts[K ? K : 1];
    for (int tap = 0; tap < K; tap++) {         // kept in registers
        weights[tap] = splat(weight[tap]);
        starts[tap] = in + from[tap] * stride;
    }
    for (int64_t n = 0; n < count; n++) {
        int64_t at = 0;
#pragma GCC unroll 2
        for (; at + LANES <= length; at += LANES) {
            floats total{};
            for (int64_t tap = 0; tap < many; tap++)
                total += K ? load(starts[tap] + n * in_step + at) * weights[tap]
                           : load(in + from[tap] * stride + n * in_step + at) * weight[tap];
            store(out + n * out_step + at, total);
        }
        for (; at < length; at++) {
            float total = 0;
            for (int64_t tap = 0; tap < many; tap++)
                total += load_one(in + from[tap] * stride + n * in_step + at) * weight[tap];
            store_one(out + n * out_step + at, total);
        }
    }
}

// The same for one run, with the usual numbers of taps, [1, 3, 3, 1] with and without zeros, known to the
// compiler. A run of neighbours is one long sum.
template <class T, class U>
inline void weighted_sums(const T* in, const Taps& axis, const Run& run, int64_t stride, U* out) {
    const int64_t* from = axis.from.data() + axis.begin[run.first];
    const float* weight = axis.weight.data() + axis.begin[run.first];
    const int64_t taps = axis.count(run.first);
    const bool dense = run.step == 1 && run.shift == 1;
    const int64_t count = dense ? 1 : run.count, length = dense ? run.count * stride : stride;
    out += run.first * stride;
    const auto sums = taps == 2 ? weighted_sums<2, T, U>
                    : taps == 4 ? weighted_sums<4, T, U> : weighted_sums<0, T, U>;
    sums(in, from, weight, taps, stride, count, run.shift * stride, run.step * stride, length, out);
}

// upfirdn2d with a separable filter (correlation): down the columns into one row of floats, then along it.
// sizes: count, height, width, out_height, out_width, channels.
template <class T>
void resample(const T* x, T* y, const Taps& vertical, const Taps& horizontal, const std::vector<Run>& runs,
              const int64_t* sizes, int threads) {
    const int64_t count = sizes[0], height = sizes[1], width = sizes[2];
    const int64_t out_height = sizes[3], out_width = sizes[4], channels = sizes[5];
    const int64_t length = width * channels;
#pragma omp parallel num_threads(threads)
    {
        std::vector<floats> aligned((length + LANES - 1) / LANES);     // no load straddles cache lines
        float* const line = (float*)aligned.data();
#pragma omp for
        for (int64_t row = 0; row < count * out_height; row++) {
            const T* picture = x + row / out_height * height * length;
            // As an axis of pixels that are as wide as a row, one output of it, written to the line.
            const int64_t i = row % out_height;
            weighted_sums(picture, vertical, {i, 1, 0, 0}, length, line - i * length);
            for (const Run& run : runs)
                weighted_sums(line, horizontal, run, channels, y + row * out_width * channels);
        }
    }
}

// e to the power of x, within 2e-7 of it; NaN stays NaN.
inline floats exponential(floats x) {
    x = select(x > splat(88), splat(88), select(x < splat(-87), splat(-87), x));
    const floats doublings = x * splat(1.44269504f);
    const ints whole = __builtin_convertvector(
        doublings + select(doublings < splat(0), splat(-0.5f), splat(0.5f)), ints);
    const floats n = __builtin_convertvector(whole, floats);
    const floats r = (x - n * splat(0.693359375f)) + n * splat(2.12194440e-4f);     // ln 2 in two parts
    floats series = splat(1.f / 720);
    for (const float term : {1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1.f, 1.f})
        series = series * r + splat(term);
    return series * (floats)((whole + 127) << 23);
}

inline floats sigmoid(floats x) { return splat(1) / (splat(1) + exponential(-x)); }

// Group normalisation and SiLU: y = silu(u), u = (x - mean) * rstd * weight + bias.
struct NormSilu {
    int64_t count, pixels, channels, groups;
    float epsilon;
    const float* weight;        // [C]
    const float* bias;          // [C]
    float* moments;             // [N, 2, C]: each channel's group's mean and 1 / standard deviation
};

constexpr int64_t BLOCK = 64;   // pixels that are summed up in registers: they stay in the nearest cache

// For every channel the sums, over the pixels, of the two values that `terms(pixel offset, channel)` adds.
template <class Terms>
inline void sum_pixels(int64_t pixels, int64_t channels, float* first, float* second, const Terms& terms) {
    std::fill(first, first + channels, 0.f);
    std::fill(second, second + channels, 0.f);
    for (int64_t begin = 0; begin < pixels; begin += BLOCK) {
        const int64_t end = std::min(pixels, begin + BLOCK);
        for (int64_t channel = 0; channel < channels; channel += LANES) {
            floats a{}, b{};
            const auto term = terms(channel);
            for (int64_t pixel = begin; pixel < end; pixel++) term(pixel * channels + channel, a, b);
            add_to(first + channel, a);
            add_to(second + channel, b);
        }
    }
}

// Of one sample; about its first pixel, so that a large mean takes nothing from the variance.
template <class T>
void group_moments(const NormSilu& e, const T* x, float* mean, float* rstd) {
    sum_pixels(e.pixels, e.channels, mean, rstd, [&](int64_t channel) {
        const floats origin = load(x + channel);
        return [=](int64_t at, floats& sum, floats& squares) {
            const floats value = load(x + at) - origin;
            sum += value;
            squares += value * value;
        };
    });
    const int64_t width = e.channels / e.groups;
    for (int64_t group = 0; group < e.channels; group += width) {
        double centre = 0, variance = 0;
        for (int64_t c = group; c < group + width; c++) {
            const double shift = mean[c] / (double)e.pixels;
            rstd[c] = (float)(rstd[c] / (double)e.pixels - shift * shift);
            mean[c] = (float)(load_one(x + c) + shift);
            centre += mean[c] / (double)width;
        }
        for (int64_t c = group; c < group + width; c++)
            variance += (rstd[c] + (mean[c] - centre) * (mean[c] - centre)) / (double)width;
        for (int64_t c = group; c < group + width; c++) {
            mean[c] = (float)centre;
            rstd[c] = (float)(1 / std::sqrt(std::max(variance, 0.) + e.epsilon));
        }
    }
}

template <class T>
void norm_silu_forward(const NormSilu& e, const T* x, T* y, int threads) {
    const int64_t size = e.pixels * e.channels;
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < e.count; sample++) {
        const T* from = x + sample * size;
        T* to = y + sample * size;
        float* mean = e.moments + sample * 2 * e.channels;
        float* rstd = mean + e.channels;
        group_moments(e, from, mean, rstd);
        for (int64_t begin = 0; begin < e.pixels; begin += BLOCK) {
            const int64_t end = std::min(e.pixels, begin + BLOCK);
            for (int64_t channel = 0; channel < e.channels; channel += LANES) {
                const floats scale = load(rstd + channel) * load(e.weight + channel);
                const floats shift = load(e.bias + channel) - load(mean + channel) * scale;
                for (int64_t pixel = begin; pixel < end; pixel++) {
                    const int64_t at = pixel * e.channels + channel;
                    const floats u = load(from + at) * scale + shift;
                    store(to + at, u * sigmoid(u));
                }
            }
        }
    }
}

// The gradient before the activation, of what is loaded at x and gy.
struct BeforeSilu {
    floats scale, shift;

    BeforeSilu(const NormSilu& e, const float* mean, const float* rstd, int64_t channel)
        : scale(load(rstd + channel) * load(e.weight + channel)),
          shift(load(e.bias + channel) - load(mean + channel) * scale) {}

    floats operator()(floats x, floats gy) const {
        const floats u = x * scale + shift, s = sigmoid(u);
        return gy * s * (splat(1) + u * (splat(1) - s));
    }
};

// sums: [N, 2, C], each sample's gradients in weight and bias.
template <class T>
void norm_silu_backward(const NormSilu& e, const T* x, const T* gy, T* gx, float* sums, int threads) {
    const int64_t size = e.pixels * e.channels, width = e.channels / e.groups;
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < e.count; sample++) {
        const T *from = x + sample * size, *gradient = gy + sample * size;
        T* to = gx + sample * size;
        const float* mean = e.moments + sample * 2 * e.channels;
        const float* rstd = mean + e.channels;
        float* gweight = sums + sample * 2 * e.channels;
        float* gbias = gweight + e.channels;
        sum_pixels(e.pixels, e.channels, gweight, gbias, [&](int64_t channel) {
            const BeforeSilu before(e, mean, rstd, channel);
            const floats centre = load(mean + channel), narrow = load(rstd + channel);
            return [=](int64_t at, floats& weighted, floats& plain) {
                const floats value = load(from + at), g = before(value, load(gradient + at));
                weighted += g * (value - centre) * narrow;
                plain += g;
            };
        });
        // What the group's mean and deviation pass on: the means of the gradient, and of it times the result.
        std::vector<float> level(e.channels), slope(e.channels);
        for (int64_t group = 0; group < e.channels; group += width) {
            double one = 0, other = 0;
            for (int64_t c = group; c < group + width; c++) {
                one += (double)e.weight[c] * gbias[c];
                other += (double)e.weight[c] * gweight[c];
            }
            for (int64_t c = group; c < group + width; c++) {
                level[c] = (float)(one / (double)(width * e.pixels));
                slope[c] = (float)(other / (double)(width * e.pixels));
            }
        }
        for (int64_t begin = 0; begin < e.pixels; begin += BLOCK) {
            const int64_t end = std::min(e.pixels, begin + BLOCK);
            for (int64_t channel = 0; channel < e.channels; channel += LANES) {
                const BeforeSilu before(e, mean, rstd, channel);
                const floats centre = load(mean + channel), narrow = load(rstd + channel);
                const floats weight = load(e.weight + channel);
                const floats lower = load(level.data() + channel), bend = load(slope.data() + channel);
                for (int64_t pixel = begin; pixel < end; pixel++) {
                    const int64_t at = pixel * e.channels + channel;
                    const floats value = load(from + at), g = before(value, load(gradient + at));
                    store(to + at, narrow * (g * weight - lower - (value - centre) * narrow * bend));
                }
            }
        }
    }
}

}  // namespace

// What ctypes sees: one name per operator, `bfloat16` chooses the type of the feature maps.
extern "C" {

void mspe_epilogue_forward(const Epilogue* e, const void* x, void* y, int bfloat16, int threads) {
    bfloat16 ? epilogue_forward(*e, (const uint16_t*)x, (uint16_t*)y, threads)
             : epilogue_forward(*e, (const float*)x, (float*)y, threads);
}

void mspe_epilogue_backward(const Epilogue* e, const void* x, const void* gy, void* gx, float* sums,
                            float* gnoise, int64_t band, int bfloat16, int threads) {
    bfloat16 ? epilogue_backward(*e, (const uint16_t*)x, (const uint16_t*)gy, (uint16_t*)gx, sums, gnoise,
                                 band, threads)
             : epilogue_backward(*e, (const float*)x, (const float*)gy, (float*)gx, sums, gnoise,
                                 band, threads);
}

void mspe_scale_forward(const void* x, const float* scale, void* y,
                        int64_t count, int64_t pixels, int64_t channels, int bfloat16, int threads) {
    bfloat16 ? scale_forward((const uint16_t*)x, scale, (uint16_t*)y, count, pixels, channels, threads)
             : scale_forward((const float*)x, scale, (float*)y, count, pixels, channels, threads);
}

void mspe_scale_backward(const void* x, const float* scale, const void* gy, void* gx, float* gscale,
                         int64_t count, int64_t pixels, int64_t channels, int bfloat16, int threads) {
    bfloat16 ? scale_backward((const uint16_t*)x, scale, (const uint16_t*)gy, (uint16_t*)gx, gscale,
                              count, pixels, channels, threads)
             : scale_backward((const float*)x, scale, (const float*)gy, (float*)gx, gscale,
                              count, pixels, channels, threads);
}

// sizes: as resample's; y_axis and x_axis: taps, up, down, padding before.
void mspe_resample(const void* x, void* y, const float* y_filter, const float* x_filter, const int64_t* sizes,
                   const int64_t* y_axis, const int64_t* x_axis, int bfloat16, int threads) {
    const Taps vertical(y_filter, y_axis[0], y_axis[1], y_axis[2], y_axis[3], sizes[1], sizes[3]);
    const Taps horizontal(x_filter, x_axis[0], x_axis[1], x_axis[2], x_axis[3], sizes[2], sizes[4]);
    const std::vector<Run> runs = runs_of(horizontal, x_axis[1], x_axis[2], sizes[4]);
    bfloat16 ? resample((const uint16_t*)x, (uint16_t*)y, vertical, horizontal, runs, sizes, threads)
             : resample((const float*)x, (float*)y, vertical, horizontal, runs, sizes, threads);
}

void mspe_norm_silu_forward(const NormSilu* e, const void* x, void* y, int bfloat16, int threads) {
    bfloat16 ? norm_silu_forward(*e, (const uint16_t*)x, (uint16_t*)y, threads)
             : norm_silu_forward(*e, (const float*)x, (float*)y, threads);
}

void mspe_norm_silu_backward(const NormSilu* e, const void* x, const void* gy, void* gx, float* sums,
                             int bfloat16, int threads) {
    bfloat16 ? norm_silu_backward(*e, (const uint16_t*)x, (const uint16_t*)gy, (uint16_t*)gx, sums, threads)
             : norm_silu_backward(*e, (const float*)x, (const float*)gy, (float*)gx, sums, threads);
}

}
