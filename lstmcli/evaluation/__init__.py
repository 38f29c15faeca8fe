"""Past forecasts compared with the outcomes: metrics, tests, direction, verdict."""
