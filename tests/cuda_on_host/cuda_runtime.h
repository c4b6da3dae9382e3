// What the kernels use of CUDA, on a CPU: so that a C++ compiler makes of a .cu file, as it is, a library
// that computes the same, block by block. Threads of a block are coroutines that take turns at barriers and
// shuffles; with CUDA_ON_HOST_REVERSED in the environment the last one goes first, so that a missing barrier
// shows as another result.

#pragma once

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
typedef void* cudaStream_t;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace host {

constexpr unsigned MOST_THREADS = 256, WARP = 32;           // the kernels' __launch_bounds__

struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 << 10);
    bool done;
    long barriers, shuffles;
    double offered;
};

inline std::vector<Thread> threads(MOST_THREADS);
inline unsigned count, current;
inline ucontext_t scheduler;
inline std::function<void()> body;

[[noreturn]] inline void fail(const char* what) {
    fprintf(stderr, "%s\n", what);
    abort();
}

inline void yield() { swapcontext(&threads[current].context, &scheduler); }

// Until the others, from `first` on, have come as far as this one.
inline void meet(long Thread::*counter, unsigned first, unsigned end) {
    const long mine = ++(threads[current].*counter);
    for (bool together = false; !together; ) {
        yield();
        together = true;
        for (unsigned i = first; i < end; i++) {
            if (threads[i].*counter >= mine) continue;
            if (threads[i].done) fail("a thread has left that others wait for");
            together = false;
        }
    }
}

inline void begin() {
    body();
    threads[current].done = true;
    yield();
}

inline void run_block() {
    const bool reversed = getenv("CUDA_ON_HOST_REVERSED");
    count = blockDim.x * blockDim.y * blockDim.z;
    for (unsigned i = 0; i < count; i++) {
        Thread& t = threads[i];
        t.done = false;
        t.barriers = t.shuffles = 0;
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack.data();
        t.context.uc_stack.ss_size = t.stack.size();
        t.context.uc_link = nullptr;
        makecontext(&t.context, begin, 0);
    }
    for (unsigned left = count, rounds = 0; left; rounds++) {
        if (rounds > 1000000) fail("threads wait for each other");
        for (unsigned i = 0; i < count; i++) {
            current = reversed ? count - 1 - i : i;
            if (threads[current].done) continue;
            threadIdx = dim3(current % blockDim.x, current / blockDim.x % blockDim.y,
                             current / blockDim.x / blockDim.y);
            swapcontext(&scheduler, &threads[current].context);
            left -= threads[current].done;
        }
    }
}

}  // namespace host

inline void __syncthreads() { host::meet(&host::Thread::barriers, 0, host::count); }

template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    const unsigned first = host::current / host::WARP * host::WARP;
    if (mask != 0xffffffff || host::count % host::WARP) host::fail("a shuffle in part of a warp");
    host::threads[host::current].offered = value;
    host::meet(&host::Thread::shuffles, first, first + host::WARP);
    const T other = (T)host::threads[host::current ^ lanes].offered;
    host::meet(&host::Thread::shuffles, first, first + host::WARP);
    return other;
}

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
    const dim3 &grid = config->gridDim, &block = config->blockDim;
    const size_t size = (size_t)block.x * block.y * block.z;
    if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535 || !size ||
        size > host::MOST_THREADS || block.z > 64)
        return cudaErrorInvalidConfiguration;
    gridDim = grid;
    blockDim = block;
    host::body = [&] { kernel(static_cast<P>(arguments)...); };
    for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) host::run_block();
    return cudaSuccess;
}

inline cudaError_t cudaGetLastError() { return cudaErrorInvalidConfiguration; }
inline const char* cudaGetErrorString(cudaError_t) { return "invalid configuration argument"; }
