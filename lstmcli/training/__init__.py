"""The training loop, a generator of epoch records that neither prints nor writes files."""
