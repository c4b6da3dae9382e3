"""A diffusion model with the same positional encoding (Sec. 4.5): U-Net, process, samplers, training."""
