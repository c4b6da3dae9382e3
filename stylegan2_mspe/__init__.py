"""StyleGAN2 with an explicit positional encoding at every scale (Choi et al., ICCV 2021)."""
