"""The terminal side of every command: options, help, messages, event log, progress."""
