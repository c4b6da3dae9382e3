"""Inversion: which latent, and which place, make the generator draw a given picture?"""
