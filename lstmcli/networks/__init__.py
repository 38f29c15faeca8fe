"""The LSTM and its heads, as plain modules: (N, L, F) in, answers out. None knows prices."""
