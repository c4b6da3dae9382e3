// One call of upfirdn2d, as the binding hands it to the kernel.

#pragma once

#include <stdint.h>

struct Upfirdn2d {
    const void* x;          // [images, height, width, channels] in memory; [N, C, H, W] is N * C images of
    void* y;                // one channel
    const float* f;         // [taps_y, taps_x], on the device
    int64_t images;
    int channels, height, width, out_height, out_width;
    int taps_y, taps_x, up_y, up_x, down_y, down_x, top, left;      // padding counts upsampled pixels
    int flip;               // whether the filter is correlated with the picture as it is
    float gain;
    int type;               // enum Type
    int separable;          // whether rows and cols hold it, for correlation, with the gain
    float rows[4], cols[4];
};

// Returns CUDA's words for what went wrong, null = nothing.
const char* upfirdn2d(const Upfirdn2d& call, void* stream);
