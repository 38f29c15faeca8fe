"""What a run starts from: its prices, and which model forecasts which of them."""
