"""Draw results as picture files, terminal plots and HTML pages."""
