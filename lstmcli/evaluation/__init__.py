"""Past forecasts against what happened: metrics, tests, direction, verdict."""
