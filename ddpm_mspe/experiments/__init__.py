"""The paper's experiments with diffusion models: numbers and pictures from networks; nothing is printed."""
