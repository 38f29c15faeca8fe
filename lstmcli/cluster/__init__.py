"""Run work on other cores and machines, as Ray tasks; the only room that imports Ray."""
