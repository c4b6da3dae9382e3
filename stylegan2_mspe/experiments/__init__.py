"""The paper's experiments: each makes its numbers and its picture from networks, and prints nothing."""
