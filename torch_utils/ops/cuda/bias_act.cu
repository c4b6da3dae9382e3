// Bias, activation, gain and clamp in one pass over memory, and both derivatives.

#include "bias_act.h"
#include "vectors.cuh"

namespace {

// The value of an activation, or its first or second derivative.
template <class R> struct Curve { R value, slope, bend; };

template <class R> __device__ inline R logistic(R u) { return (R)1 / ((R)1 + exp(-u)); }

template <class R> __device__ inline Curve<R> curve(int activation, R u, R alpha) {
    const R one = 1, zero = 0;
    switch (activation) {
        case RELU: return {u <= zero ? zero : u, u > zero ? one : zero, zero};
        case LRELU: return {u > zero ? u : u * alpha, u > zero ? one : alpha, zero};
        case TANH: {
            const R t = tanh(u);
            return {t, one - t * t, -2 * t * (one - t * t)};
        }
        case SIGMOID: {
            const R s = logistic(u);
            return {s, s * (one - s), s * (one - s) * (one - 2 * s)};
        }
        case ELU: return {u > zero ? u : expm1(u), u > zero ? one : exp(u), u > zero ? zero : exp(u)};
        case SELU: {            // Klambauer et al. 2017, App. A1
            const R scale = 1.0507009873554805, bent = scale * 1.6732632423543772;
            return {u > zero ? scale * u : bent * expm1(u), u > zero ? scale : bent * exp(u),
                    u > zero ? zero : bent * exp(u)};
        }
        case SOFTPLUS: {
            const R s = logistic(u);
            return {u > 20 ? u : log1p(exp(u)), s, s * (one - s)};
        }
        case SWISH: {
            const R s = logistic(u);
            return {u * s, s + u * s * (one - s), s * (one - s) * (2 + u * (one - 2 * s))};
        }
        default: return {u, one, zero};
    }
}

template <class R> struct Constants { R alpha, gain, clamp; };

template <class R>
__device__ inline R compute(const BiasAct& p, const Constants<R>& k, R x, R b, R gy, R ggx) {
    const R limit = k.clamp;
    if (p.pass == HINGE) {
        if (limit >= 0 && (x <= -limit || x >= limit)) return 0;
        const R below = p.activation == LINEAR ? (R)1 : p.activation == RELU ? (R)0 : k.alpha;
        return gy * (x > 0 ? k.gain : k.gain * below);
    }
    const Curve<R> at = curve(p.activation, x + b, k.alpha);
    const R y = at.value * k.gain;
    if (p.pass == FORWARD) return limit < 0 ? y : y > limit ? limit : y < -limit ? -limit : y;
    if (limit >= 0 && (y < -limit || y > limit)) return 0;
    return gy * k.gain * (p.pass == FIRST ? at.slope : ggx * at.bend);
}

// The biases of V neighbours from number i on.
template <class T, int V, class R>
__device__ inline void biases(const BiasAct& p, int64_t i, R (&values)[V]) {
    const T* b = (const T*)p.b;
    if (!b) return load_or<V>(b, (R)0, values);
    int64_t channel, phase;
    if (p.count <= 0x7fffffff) {            // 64-bit divisions are slow
        const unsigned quotient = (unsigned)i / (unsigned)p.step;
        phase = (unsigned)i - quotient * (unsigned)p.step;
        channel = quotient % (unsigned)p.size;
    } else {
        phase = i % p.step;
        channel = i / p.step % p.size;
    }
    if (V > 1 && p.step == 1 && p.size % V == 0 && aligned(b)) {        // one access
        const Vector<T, V> together = load<V>(b + channel);
#pragma unroll
        for (int v = 0; v < V; v++) values[v] = wide(together.value[v]);
        return;
    }
    R bias = wide(b[channel]);
#pragma unroll
    for (int v = 0; v < V; v++) {
        values[v] = bias;
        if (v + 1 == V || ++phase < p.step) continue;
        phase = 0;
        channel = channel + 1 == p.size ? 0 : channel + 1;
        bias = wide(b[channel]);
    }
}

template <class T, int V>
__global__ void __launch_bounds__(256) pass(const BiasAct p) {
    typedef typename Arithmetic<T>::type R;
    const T* x = (const T*)p.x;
    const T* gy = (const T*)p.gy;
    const T* ggx = (const T*)p.ggx;
    T* result = (T*)p.result;
    const Constants<R> k = {(R)p.alpha, (R)p.gain, (R)p.clamp};
    constexpr int BATCH = 2;                // vectors a thread has under way at a time
    for (int batch = 0; batch < BATCH; batch++) {
        const int64_t i = (((int64_t)blockIdx.x * BATCH + batch) * blockDim.x + threadIdx.x) * V;
        if (i >= p.count) return;
        R b[V], values[V];
        biases<T, V>(p, i, b);
        if (i + V <= p.count) {
            const Vector<T, V> none = {}, in = load<V>(x + i);
            const Vector<T, V> first = gy ? load<V>(gy + i) : none, second = ggx ? load<V>(ggx + i) : none;
#pragma unroll
            for (int v = 0; v < V; v++)
                values[v] = compute<R>(p, k, wide(in.value[v]), b[v], wide(first.value[v]),
                                       wide(second.value[v]));
            store<T, V>(result + i, values);
        } else {
#pragma unroll
            for (int v = 0; v < V; v++) {
                if (i + v >= p.count) break;
                const R value = compute<R>(p, k, wide(x[i + v]), b[v], gy ? (R)wide(gy[i + v]) : (R)0,
                                           ggx ? (R)wide(ggx[i + v]) : (R)0);
                narrow(value, result[i + v]);
            }
        }
    }
}

template <class T, int V> const char* launch_pass(const BiasAct& p, void* stream) {
    return launch(pass<T, V>, dim3(divide_up(p.count, 256 * 2 * V)), dim3(256), stream, p);
}

template <class T> const char* choose(const BiasAct& p, void* stream) {
    const bool vectors = aligned(p.x) && aligned(p.gy) && aligned(p.ggx) && aligned(p.result);
    return vectors ? launch_pass<T, full_vector<T>()>(p, stream) : launch_pass<T, 1>(p, stream);
}

}  // namespace

const char* bias_act(const BiasAct& p, void* stream) {
    switch (p.type) {
        case FLOAT: return choose<float>(p, stream);
        case HALF: return choose<__half>(p, stream);
        case BFLOAT16: return choose<__nv_bfloat16>(p, stream);
        default: return choose<double>(p, stream);
    }
}
