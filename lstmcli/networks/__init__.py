"""The LSTM, its siblings and heads, as plain modules without prices."""
