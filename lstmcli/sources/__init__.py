"""The inputs of a run: its prices, and which model forecasts which of them."""
