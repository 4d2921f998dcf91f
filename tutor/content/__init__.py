"""The lesson tree as exercises, starters generated from solutions, and the learner's workspace."""
