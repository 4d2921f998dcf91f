"""The Textual app: screens and panels that show what the engine reports."""
