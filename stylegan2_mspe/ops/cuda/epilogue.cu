// What follows a convolution, in one pass over the feature map: demodulation, noise, bias, activation, gain,
// clamp and positional encoding; the gradients of all of it in one pass; and those of the gradients.
//
// Two kernels, for channels last and for [N, C, H, W]. In both, a thread moves whole vectors and asks for
// several of them before it uses the first. Sums are made in registers, then in a block, and what a block has
// is written out for PyTorch to add up: always in the same order, so results are the same from run to run.

#include "epilogue.h"
#include "vectors.cuh"

namespace {

constexpr int THREADS = 256, WARP = 32, WARPS = THREADS / WARP;
constexpr unsigned ALL_LANES = 0xffffffff;
constexpr int MOST_CHANNELS = 64;       // that a block of the [N, C, H, W] kernel goes through

template <class R> struct Constants {
    R gain, bent, limit, gamma, gggamma;
    bool bounded;

    __device__ Constants(const Epilogue& p)
        : gain((R)p.gain), bent((R)(p.gain * p.slope)), limit((R)p.clamp),
          gamma(p.gamma ? *(const R*)p.gamma : (R)1), gggamma(p.gggamma ? *(const R*)p.gggamma : (R)0),
          bounded(p.clamp >= 0) {}
};

// What belongs to a channel of a sample, and what to a pixel.
template <class R> struct Channel { R scale, bias, ggscale, ggbias; };
template <class R> struct Pixel { R noise, ggnoise; };

// What one number gives.
template <class R> struct Outcome { R result, second, with_x, alone, with_encoding; };

template <int PASS, class R>
__device__ inline Outcome<R> compute(const Constants<R>& k, const Channel<R>& c, const Pixel<R>& at, R x,
                                     R gy, R ggx, R encoding) {
    Outcome<R> out = {};
    const R u = x * c.scale + c.bias + at.noise;
    const R factor = u > 0 ? k.gain : k.bent, v = u * factor;
    if (PASS == VALUE) {
        const R bounded = v > k.limit ? k.limit : v < -k.limit ? -k.limit : v;      // keeps NaN
        out.result = (k.bounded ? bounded : v) + k.gamma * encoding;
        return out;
    }
    const R slope = !k.bounded || (v <= k.limit && v >= -k.limit) ? factor : (R)0;
    const R g = gy * slope;
    if (PASS == GRADIENT) {
        out.result = g * c.scale;
        out.with_x = g * x;
        out.alone = g;
        out.with_encoding = gy * encoding;
    } else {
        out.result = (ggx * c.scale + c.ggscale * x + at.ggnoise + c.ggbias) * slope + k.gggamma * encoding;
        out.second = g * c.ggscale;
        out.with_x = g * ggx;
    }
    return out;
}

template <class R> __device__ inline R pick(const void* from, int64_t at, R otherwise) {
    return from ? ((const R*)from)[at] : otherwise;
}

template <class R> __device__ inline Channel<R> channel_numbers(const Epilogue& p, int64_t sample, int c) {
    const int64_t own = sample * p.channels + c;
    return {pick<R>(p.scale, own, 1), pick<R>(p.bias, c, 0), pick<R>(p.ggscale, own, 0),
            pick<R>(p.ggbias, c, 0)};
}

template <class R> __device__ inline Pixel<R> pixel_numbers(const Epilogue& p, int64_t sample, int pixel) {
    return {pick<R>(p.noise, sample * p.noise_stride + pixel, 0),
            pick<R>(p.ggnoise, sample * p.ggnoise_stride + pixel, 0)};
}

// Which half of the encoding a channel takes, and which of its channels.
struct Half {
    const void* from;
    int channel;
    bool by_row;

    __device__ Half(const Epilogue& p, int c) {
        const int half = p.channels / 2;
        by_row = (c < half) == (p.rows_first != 0);
        channel = c < half ? c : c - half;
        from = by_row ? p.rows : p.cols;
    }
    __device__ int64_t offset(const Epilogue& p, int64_t sample) const {
        return sample * (by_row ? p.rows_stride : p.cols_stride);
    }
};

template <class R> __device__ inline R sum_of_lanes(R value, int lanes) {
    for (int distance = lanes / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    return value;
}

// How many of the three sums over pixels a pass makes.
__host__ __device__ constexpr int kinds(int pass) { return pass == GRADIENT ? 3 : pass == CURVATURE ? 1 : 0; }

// ---- Channels last ----

// Neighbouring lanes take neighbouring channels, the groups of lanes neighbouring pixels.
inline int lanes_of(const Epilogue& p, int V) {
    const int vectors = p.channels / V;
    for (int lanes = WARP; lanes >= 8; lanes /= 2)
        if (vectors % lanes == 0) return lanes;
    return power_of_two_from(vectors, WARP);
}

// How many pixels a thread goes through.
__host__ __device__ constexpr int rounds(int pass) { return pass == VALUE ? 8 : 32; }

template <class T, int V, int PASS>
__global__ void __launch_bounds__(THREADS) channels_last(const Epilogue p, const int lanes) {
    typedef typename Arithmetic<T>::type R;
    constexpr int BATCH = PASS == VALUE ? 4 : 2;
    __shared__ R shared[THREADS][V];
    const Constants<R> k(p);
    const int lane = threadIdx.x % lanes, group = threadIdx.x / lanes, groups = THREADS / lanes;
    const int c = (blockIdx.y * lanes + lane) * V;
    const bool active = c < p.channels;
    const int pixels = p.height * p.width, segment = groups * rounds(PASS);
    const int begin = blockIdx.x * segment, end = begin + segment < pixels ? begin + segment : pixels;
    for (int64_t sample = blockIdx.z; sample < p.count; sample += gridDim.z) {
        const int64_t start = sample * pixels * p.channels + c;
        Channel<R> channel[V];
#pragma unroll
        for (int v = 0; v < V; v++)
            channel[v] = active ? channel_numbers<R>(p, sample, c + v) : Channel<R>();
        const Half half(p, active ? c : 0);
        const T* encoding = (const T*)half.from;
        if (encoding) encoding += half.offset(p, sample) + half.channel;
        R sums[3][V] = {};
        for (int first = begin; first < end; first += groups * BATCH) {
            Vector<T, V> x[BATCH], gy[BATCH], ggx[BATCH], code[BATCH];
            Pixel<R> pixel[BATCH];
#pragma unroll
            for (int b = 0; b < BATCH; b++) {
                x[b] = gy[b] = ggx[b] = code[b] = {};
                pixel[b] = {};
                const int q = first + b * groups + group;
                if (!active || q >= end) continue;
                const int64_t at = start + (int64_t)q * p.channels;
                x[b] = load<V>((const T*)p.x + at);
                if (PASS != VALUE) gy[b] = load<V>((const T*)p.gy + at);
                if (PASS == CURVATURE && p.ggx) ggx[b] = load<V>((const T*)p.ggx + at);
                pixel[b] = pixel_numbers<R>(p, sample, q);
                if (!encoding) continue;
                const int row = q / p.width;
                const int64_t place = half.by_row ? row : q - row * p.width;
                code[b] = load<V>(encoding + place * (p.channels / 2));
            }
#pragma unroll
            for (int b = 0; b < BATCH; b++) {
                const int q = first + b * groups + group;
                const bool inside = active && q < end;
                const int64_t at = start + (int64_t)q * p.channels;
                R result[V], second[V], together = 0;
#pragma unroll
                for (int v = 0; v < V; v++) {
                    const Outcome<R> out = compute<PASS, R>(
                        k, channel[v], pixel[b], wide(x[b].value[v]), wide(gy[b].value[v]),
                        wide(ggx[b].value[v]), wide(code[b].value[v]));
                    result[v] = out.result;
                    second[v] = out.second;
                    if (PASS == VALUE || !inside) continue;
                    sums[0][v] += out.with_x;
                    sums[1][v] += out.alone;
                    sums[2][v] += out.with_encoding;
                    together += out.alone;
                }
                if (inside) store<T, V>((T*)p.result + at, result);
                if (PASS == CURVATURE && inside && p.second_result)
                    store<T, V>((T*)p.second_result + at, second);
                if (PASS == GRADIENT && p.pixel_sums) {
                    together = sum_of_lanes(together, lanes);
                    const int64_t row = (int64_t)blockIdx.y * p.count + sample;
                    if (lane == 0 && q < end) ((R*)p.pixel_sums)[row * pixels + q] = together;
                }
            }
        }
        if constexpr (PASS != VALUE) {
            if (!p.sums) continue;
#pragma unroll
            for (int kind = 0; kind < kinds(PASS); kind++) {
                __syncthreads();
#pragma unroll
                for (int v = 0; v < V; v++) shared[threadIdx.x][v] = sums[kind][v];
                __syncthreads();
                if (group || !active) continue;
                R total[V] = {};
                for (int other = lane; other < THREADS; other += lanes)
#pragma unroll
                    for (int v = 0; v < V; v++) total[v] += shared[other][v];
                R* out = (R*)p.sums + ((sample * p.segments + blockIdx.x) * 3 + kind) * p.channels + c;
#pragma unroll
                for (int v = 0; v < V; v++) out[v] = total[v];
            }
        }
    }
}

// ---- [N, C, H, W] ----

inline unsigned plane_threads(const Epilogue& p, int V) {
    const unsigned threads = power_of_two_from(divide_up(p.height * p.width, V), THREADS);
    return threads < WARP ? WARP : threads;
}

// A thread keeps its pixels and goes through the channels.
template <class T, int V, int PASS>
__global__ void __launch_bounds__(THREADS) planes(const Epilogue p, const int chunk) {
    typedef typename Arithmetic<T>::type R;
    constexpr int BATCH = PASS == VALUE ? 4 : 2;
    __shared__ R shared[PASS == VALUE ? 1 : kinds(PASS)][MOST_CHANNELS][WARPS];
    const Constants<R> k(p);
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const int pixels = p.height * p.width;
    const int q = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    const bool inside = q < pixels;
    const int row = q / p.width, col = q - row * p.width;
    const int begin = blockIdx.y * chunk, end = begin + chunk < p.channels ? begin + chunk : p.channels;
    for (int64_t sample = blockIdx.z; sample < p.count; sample += gridDim.z) {
        Pixel<R> pixel[V];
        R together[V] = {};
#pragma unroll
        for (int v = 0; v < V; v++) pixel[v] = inside ? pixel_numbers<R>(p, sample, q + v) : Pixel<R>();
        for (int first = begin; first < end; first += BATCH) {
            Vector<T, V> x[BATCH], gy[BATCH], ggx[BATCH], code[BATCH];
#pragma unroll
            for (int b = 0; b < BATCH; b++) {
                x[b] = gy[b] = ggx[b] = code[b] = {};
                const int c = first + b;
                if (!inside || c >= end) continue;
                const int64_t at = (sample * p.channels + c) * pixels + q;
                x[b] = load<V>((const T*)p.x + at);
                if (PASS != VALUE) gy[b] = load<V>((const T*)p.gy + at);
                if (PASS == CURVATURE && p.ggx) ggx[b] = load<V>((const T*)p.ggx + at);
                if (!p.rows) continue;
                const Half half(p, c);
                const T* encoding = (const T*)half.from + half.offset(p, sample);
                if (half.by_row) {          // a vector lies in one row
                    const T same = encoding[(int64_t)half.channel * p.height + row];
#pragma unroll
                    for (int v = 0; v < V; v++) code[b].value[v] = same;
                } else {
                    code[b] = load<V>(encoding + (int64_t)half.channel * p.width + col);
                }
            }
#pragma unroll
            for (int b = 0; b < BATCH; b++) {
                const int c = first + b;
                if (c >= end) break;
                const int64_t at = (sample * p.channels + c) * pixels + q;
                const Channel<R> channel = channel_numbers<R>(p, sample, c);
                R result[V], second[V], sums[3] = {};
#pragma unroll
                for (int v = 0; v < V; v++) {
                    const Outcome<R> out = compute<PASS, R>(
                        k, channel, pixel[v], wide(x[b].value[v]), wide(gy[b].value[v]),
                        wide(ggx[b].value[v]), wide(code[b].value[v]));
                    result[v] = out.result;
                    second[v] = out.second;
                    if (PASS == VALUE || !inside) continue;
                    sums[0] += out.with_x;
                    sums[1] += out.alone;
                    sums[2] += out.with_encoding;
                    together[v] += out.alone;
                }
                if (inside) store<T, V>((T*)p.result + at, result);
                if (PASS == CURVATURE && inside && p.second_result)
                    store<T, V>((T*)p.second_result + at, second);
                if constexpr (PASS != VALUE) {
                    if (!p.sums) continue;
#pragma unroll
                    for (int kind = 0; kind < kinds(PASS); kind++) {
                        const R total = sum_of_lanes(sums[kind], WARP);
                        if (lane == 0) shared[kind][c - begin][warp] = total;
                    }
                }
            }
        }
        if (PASS == GRADIENT && p.pixel_sums && inside)
            store<R, V>((R*)p.pixel_sums + ((int64_t)blockIdx.y * p.count + sample) * pixels + q, together);
        if constexpr (PASS != VALUE) {
            if (!p.sums) continue;
            __syncthreads();
            for (int i = threadIdx.x; i < kinds(PASS) * (end - begin); i += blockDim.x) {
                const int kind = i / (end - begin), c = i % (end - begin);
                R total = 0;
                for (int other = 0; other < warps; other++) total += shared[kind][c][other];
                const int64_t place = (sample * p.segments + blockIdx.x) * 3 + kind;
                ((R*)p.sums)[place * p.channels + begin + c] = total;
            }
            __syncthreads();
        }
    }
}

// ---- Launching ----

// Vectors, where they begin at multiples of their size and each lies in one place.
bool in_vectors(const Epilogue& p, int V) {
    const bool whole = p.channels_last ? p.channels % (p.rows ? 2 * V : V) == 0
                                       : (p.rows ? p.width : p.height * p.width) % V == 0;
    const void* all[] = {p.x, p.gy, p.ggx, p.result, p.second_result, p.rows, p.cols};
    for (const void* pointer : all)
        if (!aligned(pointer)) return false;
    return whole;
}

int vector_of(const Epilogue& p) {
    const int full[] = {4, 8, 8, 1};        // by type; no one is in a hurry with doubles
    return in_vectors(p, full[p.type]) ? full[p.type] : 1;
}

// How many channels a block goes through: all, unless that leaves too few blocks to fill a GPU.
int chunk_of(const Epilogue& p, int64_t segments) {
    const int64_t wanted = divide_up(1024, segments * p.count);
    const int64_t chunk = divide_up(p.channels, wanted < 1 ? 1 : wanted);
    return chunk < 8 ? 8 : chunk > MOST_CHANNELS ? MOST_CHANNELS : (int)chunk;
}

template <class T, int V, int PASS> const char* launch_pass(const Epilogue& p, void* stream) {
    const dim3 grid(p.segments, p.chunks, p.count < 65535 ? p.count : 65535);
    if (p.channels_last)
        return launch(channels_last<T, V, PASS>, grid, dim3(THREADS), stream, p, lanes_of(p, V));
    return launch(planes<T, V, PASS>, grid, dim3(plane_threads(p, V)), stream, p, chunk_of(p, p.segments));
}

template <class T, int V> const char* choose_pass(const Epilogue& p, void* stream) {
    switch (p.pass) {
        case VALUE: return launch_pass<T, V, VALUE>(p, stream);
        case GRADIENT: return launch_pass<T, V, GRADIENT>(p, stream);
        default: return launch_pass<T, V, CURVATURE>(p, stream);
    }
}

template <class T> const char* choose(const Epilogue& p, void* stream) {
    return vector_of(p) == 1 ? choose_pass<T, 1>(p, stream) : choose_pass<T, full_vector<T>()>(p, stream);
}

}  // namespace

void split(Epilogue& p) {
    const int V = vector_of(p);
    const int64_t pixels = (int64_t)p.height * p.width;
    if (p.channels_last) {
        const int lanes = lanes_of(p, V);
        p.segments = (int)divide_up(pixels, THREADS / lanes * rounds(p.pass));
        p.chunks = (int)divide_up(p.channels, lanes * V);
    } else {
        p.segments = (int)divide_up(pixels, plane_threads(p, V) * V);
        p.chunks = (int)divide_up(p.channels, chunk_of(p, p.segments));
    }
}

const char* epilogue(const Epilogue& p, void* stream) {
    switch (p.type) {
        case FLOAT: return choose<float>(p, stream);
        case HALF: return choose<__half>(p, stream);
        case BFLOAT16: return choose<__nv_bfloat16>(p, stream);
        default: return choose_pass<double, 1>(p, stream);
    }
}
