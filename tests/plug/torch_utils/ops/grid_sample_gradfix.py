import torch

enabled = False


def grid_sample(input, grid):
    return torch.nn.functional.grid_sample(input, grid, align_corners=False)
