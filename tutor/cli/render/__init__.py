"""Text for people: verdicts, tables, source lines."""
