"""Diagnoses a statement of the user's: which compiled code it calls, and every pass over those calls."""
