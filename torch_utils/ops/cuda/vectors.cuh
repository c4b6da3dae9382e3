// What the kernels share: numbers of four types, vectors of them as wide as one access, and the launch.
//
// No header of torch: nvcc alone compiles the .cu files. They also keep to what the few lines of
// tests/cuda_on_host can stand in for, so that a C++ compiler can make the same kernels run on a CPU.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include <utility>

#include "types.h"

// Arithmetic is done in float, on doubles in double.
template <class T> struct Arithmetic { typedef float type; };
template <> struct Arithmetic<double> { typedef double type; };

__device__ inline float wide(float value) { return value; }
__device__ inline double wide(double value) { return value; }
__device__ inline float wide(__half value) { return __half2float(value); }
__device__ inline float wide(__nv_bfloat16 value) { return __bfloat162float(value); }

__device__ inline void narrow(float value, float& to) { to = value; }
__device__ inline void narrow(double value, double& to) { to = value; }
__device__ inline void narrow(float value, __half& to) { to = __float2half_rn(value); }
__device__ inline void narrow(float value, __nv_bfloat16& to) { to = __float2bfloat16_rn(value); }

// V neighbours in memory, moved by one instruction.
template <class T, int V> struct alignas(sizeof(T) * V) Vector { T value[V]; };

// How many numbers of this type one access of 16 bytes moves.
template <class T> constexpr int full_vector() { return 16 / sizeof(T); }

template <int V, class T> __device__ inline Vector<T, V> load(const T* from) {
    return *reinterpret_cast<const Vector<T, V>*>(from);
}

template <class T, int V, class R> __device__ inline void store(T* to, const R (&values)[V]) {
    Vector<T, V> result;
#pragma unroll
    for (int v = 0; v < V; v++) narrow(values[v], result.value[v]);
    *reinterpret_cast<Vector<T, V>*>(to) = result;
}

// V numbers, or the same for all of them where there is nothing to read.
template <int V, class T, class R>
__device__ inline void load_or(const T* from, R otherwise, R (&values)[V]) {
#pragma unroll
    for (int v = 0; v < V; v++) values[v] = from ? (R)wide(from[v]) : otherwise;
}

__host__ __device__ inline bool aligned(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline unsigned power_of_two_from(int64_t value, unsigned most) {
    unsigned power = 1;
    while (power < value && power < most) power *= 2;
    return power;
}

// Returns CUDA's words for what went wrong, null = nothing.
template <class... P, class... A>
const char* launch(void (*kernel)(P...), dim3 grid, dim3 block, void* stream, const A&... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.stream = static_cast<cudaStream_t>(stream);
    if (cudaLaunchKernelEx(&config, kernel, arguments...) == cudaSuccess) return nullptr;
    return cudaGetErrorString(cudaGetLastError());          // and PyTorch will not meet it again
}
