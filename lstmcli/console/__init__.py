"""What every command says and asks: options declared, help, messages, event log, progress."""
