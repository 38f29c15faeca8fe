"""Forecasts of a trained network, and the baselines that it has to beat."""
