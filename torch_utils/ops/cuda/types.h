// The dtypes of tensors that the kernels take, in the order in which custom_ops.DTYPES numbers them.

#pragma once

enum Type { FLOAT, HALF, BFLOAT16, DOUBLE };
