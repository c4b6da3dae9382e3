"""Torch helpers and operators with the public interface of StyleGAN2-ADA-PyTorch's package of this name."""
