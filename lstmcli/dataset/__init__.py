"""From prices to tensors: series, scaling, windows, chronological splits. It reads no files."""
