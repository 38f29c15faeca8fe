"""Files of the data folder: model versions, champions, studies, ledger. All writes are atomic."""
