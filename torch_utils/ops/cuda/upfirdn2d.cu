// Upsample by zero-stuffing, pad, filter and downsample, in one pass over memory.
//
// Two kernels. `tiles` serves what networks do all the time: four by four taps that are an outer product,
// with up and down 1 or 2. A thread makes a column of output pixels, all in registers: it reads every row of
// the input it needs once, filters it along x and adds it to the outputs that it touches. Neighbours in a
// warp read neighbouring addresses, and what overlaps between threads comes from the L1 cache. `any` does
// everything else, one output number a thread.

#include "upfirdn2d.h"
#include "vectors.cuh"

namespace {

constexpr int TAPS = 4;

// A tile of TY by TX output pixels for V channels. Its first input pixel lies under its first tap exactly, so
// input i meets output o at tap UP * i - DOWN * o: known to the compiler once the loops are unrolled.
template <int UP, int DOWN, int V> struct Tile {
    static constexpr int TY = 8;
    static constexpr int TX = UP == 2 || (DOWN == 1 && V == 1) ? 2 : 1;
    static constexpr int IY = (DOWN * (TY - 1) + TAPS - 1) / UP + 1;
    static constexpr int IX = (DOWN * (TX - 1) + TAPS - 1) / UP + 1;
    __host__ __device__ static constexpr int last_input(int output) {
        return (DOWN * output + TAPS - 1) / UP;
    }
};

// Where the first tile begins: at 0, or at -1 where 0 is not under a first tap.
template <int UP> __host__ __device__ inline int first_output(int padding) {
    return UP == 2 ? -(padding & 1) : 0;
}

template <class T, int V, int UP, int DOWN>
__global__ void __launch_bounds__(256, 2) tiles(const Upfirdn2d p) {
    typedef Tile<UP, DOWN, V> S;
    const int vectors = p.channels / V;
    const int across = blockIdx.x * blockDim.x + threadIdx.x, down = blockIdx.y * blockDim.y + threadIdx.y;
    const int channel = across % vectors * V;
    const int out_x = first_output<UP>(p.left) + across / vectors * S::TX;
    const int out_y = first_output<UP>(p.top) + down * S::TY;
    if (out_x >= p.out_width || out_y >= p.out_height) return;
    const int in_x = (DOWN * out_x - p.left) / UP, in_y = (DOWN * out_y - p.top) / UP;     // no remainder

    const int64_t in_row = (int64_t)p.width * p.channels, out_row = (int64_t)p.out_width * p.channels;
    for (int64_t image = blockIdx.z * blockDim.z + threadIdx.z; image < p.images;
         image += gridDim.z * blockDim.z) {
        const T* __restrict__ x = (const T*)p.x + image * p.height * in_row + channel;
        T* __restrict__ y = (T*)p.y + image * p.out_height * out_row + channel;
        float sum[S::TY][S::TX][V] = {};
#pragma unroll
        for (int i = 0; i < S::IY; i++) {
            const bool row_inside = in_y + i >= 0 && in_y + i < p.height;
            float line[S::TX][V] = {};
#pragma unroll
            for (int j = 0; j < S::IX; j++) {
                const bool inside = row_inside && in_x + j >= 0 && in_x + j < p.width;
                Vector<T, V> in = {};
                if (inside) in = load<V>(x + (in_y + i) * in_row + (int64_t)(in_x + j) * p.channels);
#pragma unroll
                for (int o = 0; o < S::TX; o++) {
                    const int tap = UP * j - DOWN * o;
                    if (tap < 0 || tap >= TAPS) continue;
#pragma unroll
                    for (int v = 0; v < V; v++) line[o][v] += p.cols[tap] * wide(in.value[v]);
                }
            }
#pragma unroll
            for (int o = 0; o < S::TY; o++) {
                const int tap = UP * i - DOWN * o;
                if (tap < 0 || tap >= TAPS) continue;
#pragma unroll
                for (int a = 0; a < S::TX; a++)
#pragma unroll
                    for (int v = 0; v < V; v++) sum[o][a][v] += p.rows[tap] * line[a][v];
                if (i != S::last_input(o) || out_y + o < 0 || out_y + o >= p.out_height) continue;
#pragma unroll
                for (int a = 0; a < S::TX; a++) {
                    if (out_x + a < 0 || out_x + a >= p.out_width) continue;
                    store<T, V>(y + (out_y + o) * out_row + (int64_t)(out_x + a) * p.channels, sum[o][a]);
                }
            }
        }
    }
}

// The first tap that meets a pixel and not a stuffed zero; `start` is where tap 0 lies.
__device__ inline int first_tap(int start, int up) {
    const int behind = start % up;
    return behind > 0 ? up - behind : -behind;
}

template <class T>
__global__ void __launch_bounds__(256) any(const Upfirdn2d p) {
    typedef typename Arithmetic<T>::type R;
    const int across = blockIdx.x * blockDim.x + threadIdx.x, out_y = blockIdx.y * blockDim.y + threadIdx.y;
    const int out_x = across / p.channels, channel = across % p.channels;
    if (out_x >= p.out_width || out_y >= p.out_height) return;
    const int start_y = out_y * p.down_y - p.top, start_x = out_x * p.down_x - p.left;
    const int64_t in_row = (int64_t)p.width * p.channels, out_row = (int64_t)p.out_width * p.channels;
    for (int64_t image = blockIdx.z * blockDim.z + threadIdx.z; image < p.images;
         image += gridDim.z * blockDim.z) {
        const T* x = (const T*)p.x + image * p.height * in_row + channel;
        R sum = 0;
        for (int i = first_tap(start_y, p.up_y); i < p.taps_y; i += p.up_y) {
            const int in_y = (start_y + i) / p.up_y;
            if (start_y + i < 0 || in_y >= p.height) continue;
            const float* row = p.f + (p.flip ? i : p.taps_y - 1 - i) * p.taps_x;
            for (int j = first_tap(start_x, p.up_x); j < p.taps_x; j += p.up_x) {
                const int in_x = (start_x + j) / p.up_x;
                if (start_x + j < 0 || in_x >= p.width) continue;
                const R tap = row[p.flip ? j : p.taps_x - 1 - j];
                sum += tap * (R)wide(x[in_y * in_row + (int64_t)in_x * p.channels]);
            }
        }
        T* y = (T*)p.y + (image * p.out_height + out_y) * out_row + (int64_t)out_x * p.channels + channel;
        narrow(sum * (R)p.gain, *y);
    }
}

// 256 threads as near to the shape of the work as they can be: along a row, down the rows, over the images.
const char* launch_over(void (*kernel)(Upfirdn2d), int64_t across, int64_t down, const Upfirdn2d& p,
                        void* stream) {
    const unsigned x = power_of_two_from(across, 256), y = power_of_two_from(down, 256 / x);
    const unsigned z = power_of_two_from(p.images, 256 / x / y < 64 ? 256 / x / y : 64);
    const int64_t images = divide_up(p.images, z);
    const dim3 grid(divide_up(across, x), divide_up(down, y), images < 65535 ? images : 65535);
    return launch(kernel, grid, dim3(x, y, z), stream, p);
}

template <class T, int V, int UP, int DOWN> const char* launch_tiles(const Upfirdn2d& p, void* stream) {
    typedef Tile<UP, DOWN, V> S;
    const int64_t across = divide_up(p.out_width - first_output<UP>(p.left), S::TX) * (p.channels / V);
    const int64_t down = divide_up(p.out_height - first_output<UP>(p.top), S::TY);
    return launch_over(tiles<T, V, UP, DOWN>, across, down, p, stream);
}

template <class T, int V> const char* choose_tiles(const Upfirdn2d& p, void* stream) {
    if (p.up_x == 2) return launch_tiles<T, V, 2, 1>(p, stream);
    if (p.down_x == 2) return launch_tiles<T, V, 1, 2>(p, stream);
    return launch_tiles<T, V, 1, 1>(p, stream);
}

template <class T> const char* choose(const Upfirdn2d& p, void* stream) {
    constexpr int V = full_vector<T>();
    if (!p.separable) return launch_over(any<T>, (int64_t)p.out_width * p.channels, p.out_height, p, stream);
    const bool vectors = p.channels % V == 0 && aligned(p.x) && aligned(p.y);
    return vectors ? choose_tiles<T, V>(p, stream) : choose_tiles<T, 1>(p, stream);
}

}  // namespace

const char* upfirdn2d(const Upfirdn2d& p, void* stream) {
    switch (p.type) {
        case FLOAT: return choose<float>(p, stream);
        case HALF: return choose<__half>(p, stream);
        case BFLOAT16: return choose<__nv_bfloat16>(p, stream);
        default: return launch_over(any<double>, (int64_t)p.out_width * p.channels, p.out_height, p, stream);
    }
}
