"""The LSTM, its siblings and heads, as plain modules: (N, L, F) in, answers out, no prices."""
