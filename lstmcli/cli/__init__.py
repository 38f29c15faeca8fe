"""The command line: one file a command, options in, one workflow called, one report printed."""
