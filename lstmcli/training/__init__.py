"""The training loop as a generator of epoch records. It prints nothing and writes nothing."""
