"""Fetch, train, predict, evaluate: one plain function per verb, for commands and API."""
