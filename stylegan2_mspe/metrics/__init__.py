"""Numbers of a generator: distances between sets of features, and how it behaves when it is moved."""
