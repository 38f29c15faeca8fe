"""Fetch, train, predict and evaluate as plain functions: the Python API of the tool."""
