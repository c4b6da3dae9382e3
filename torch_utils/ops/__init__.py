"""Image operators on `[N, C, H, W]` tensors: plain PyTorch, differentiable any number of times."""
