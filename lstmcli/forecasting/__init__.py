"""From a trained network and a context to a forecast, and the baselines it has to beat."""
