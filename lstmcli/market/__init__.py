"""Prices in: the valid price table, any CSV, Yahoo, the store, exchange sessions."""
