"""Read files of any format into raw tables: named columns of texts and numbers."""
