// One pass of bias_act or of its gradients, as the binding hands it to the kernel.

#pragma once

#include <stdint.h>

enum Activation { LINEAR, RELU, LRELU, TANH, SIGMOID, ELU, SELU, SOFTPLUS, SWISH };

// What the pass computes at u = x + b, elsewhere zero:
//   FORWARD     clamp(gain * act(u))
//   HINGE       gy * gain * act'(u), told from the sign and size of `x`, the result of FORWARD: linear, relu,
//               lrelu
//   FIRST       gy * gain * act'(u)
//   SECOND      ggx * gy * gain * act''(u)
enum Pass { FORWARD, HINGE, FIRST, SECOND };

struct BiasAct {
    const void* x;
    const void* b;          // null: none
    const void* gy;
    const void* ggx;
    void* result;
    int64_t count;          // of numbers in x, gy, ggx and result, which lie alike in memory
    int64_t step, size;     // number i has bias i / step % size
    int pass, activation;
    double alpha, gain, clamp;          // clamp < 0: none
    int type;               // enum Type
};

// Returns CUDA's words for what went wrong, null = nothing.
const char* bias_act(const BiasAct& call, void* stream);
