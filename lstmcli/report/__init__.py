"""Results as rich tables, JSON, CSV and Parquet; nothing is computed that a result lacks."""
