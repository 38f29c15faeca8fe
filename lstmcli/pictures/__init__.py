"""Results -> pictures: files, drawings in a terminal, the HTML page."""
