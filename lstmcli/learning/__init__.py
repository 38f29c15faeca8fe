"""From series to a trained model, and again: plans, samples, fits, transfer, promotion."""
