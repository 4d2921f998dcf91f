"""The command line: arguments, text and JSON rendering, exit codes."""
