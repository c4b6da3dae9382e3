// bfloat16 as CUDA names it, on a CPU.

#pragma once

#include <stdint.h>
#include <string.h>

struct __nv_bfloat16 { uint16_t bits; };

inline float __bfloat162float(__nv_bfloat16 value) {
    const uint32_t bits = (uint32_t)value.bits << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

inline __nv_bfloat16 __float2bfloat16_rn(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return {value != value ? (uint16_t)0x7fc0 : (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
