// float16 as CUDA names it, on a CPU.

#pragma once

#include <math.h>
#include <stdint.h>

struct __half { uint16_t bits; };

inline float __half2float(__half value) {
    const int exponent = value.bits >> 10 & 31, mantissa = value.bits & 1023;
    const float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                       : exponent ? ldexpf((float)(1024 + mantissa), exponent - 25)
                                  : ldexpf((float)mantissa, -24);
    return value.bits >> 15 ? -size : size;
}

inline __half __float2half_rn(float value) {
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const float size = fabsf(value);
    if (isnan(value)) return {(uint16_t)(sign | 0x7e00)};
    if (size >= 65520) return {(uint16_t)(sign | 0x7c00)};
    const int exponent = size < ldexpf(1, -14) ? -14 : ilogbf(size);
    const int steps = (int)nearbyintf(ldexpf(size, 10 - exponent));         // to nearest, ties to even
    return {(uint16_t)(sign | (((exponent + 14) << 10) + steps))};
}
