// One pass of the epilogue or of its derivatives, as the binding hands it to the kernel.

#pragma once

#include <stdint.h>

// u = x * scale + noise + bias;  y = clamp(m * u) + gamma * encoding, where the factor m is gain above zero
// and gain * slope below; inside the clamp, dy/du = m, and zero beyond. g = gy * dy/du.
//   VALUE       y
//   GRADIENT    result = g * scale; over pixels, the sums of g * x, g and gy * encoding; over channels, of g
//   CURVATURE   the gradient of <GRADIENT, (ggx, ggscale, ggnoise, ggbias, gggamma)> in gy and x:
//               result = (ggx * scale + ggscale * x + ggnoise + ggbias) * dy/du + gggamma * encoding,
//               second_result = g * ggscale; over pixels, the sum of g * ggx
enum Pass { VALUE, GRADIENT, CURVATURE };

// The numbers beside the feature maps are of the type that arithmetic is done in: double with doubles, else
// float. Any of them may be null, and so may what no one asks for. Encodings are of the feature maps' type.
struct Epilogue {
    const void *x, *gy, *ggx;           // [count, channels, pixels], or channels last
    void *result, *second_result;
    void* sums;             // [count, segments, 3, channels]: what each segment of pixels adds
    void* pixel_sums;       // [chunks, count, pixels]: what each chunk of channels adds
    const void *scale, *noise, *bias, *gamma;           // [count, channels], [.., pixels], [channels], []
    const void *ggscale, *ggnoise, *ggbias, *gggamma;   // likewise
    int64_t noise_stride, ggnoise_stride;                       // from sample to sample: pixels, or 0
    const void *rows, *cols;            // [.., channels / 2, H] and W, or channels last
    int64_t rows_stride, cols_stride;                           // from sample to sample, or 0
    int rows_first;         // whether rows go to the first half of the channels
    int count, channels, height, width;
    int channels_last;
    int segments, chunks;   // as split() says
    double slope, gain, clamp;          // clamp < 0: none
    int type;               // enum Type
    int pass;
};

// Fills in segments and chunks, which tell the sizes of the sums.
void split(Epilogue& call);

// Returns CUDA's words for what went wrong, null = nothing.
const char* epilogue(const Epilogue& call, void* stream);
