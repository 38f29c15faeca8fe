"""How files are written: whole or not at all, and who holds which lock."""
