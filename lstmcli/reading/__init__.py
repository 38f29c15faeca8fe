"""Bytes of any format to a raw table: named columns of texts and numbers, nothing interpreted."""
