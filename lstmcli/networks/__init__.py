"""Networks as plain PyTorch modules: bodies (LSTM, GRU, CNN, ...) and heads."""
