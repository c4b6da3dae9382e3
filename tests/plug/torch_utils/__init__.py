"""A stand-in for another checkout's torch_utils: the public names, in the shortest PyTorch."""
