"""Train models from series, and refit them: plans, samples, fits, transfer, promotion."""
