"""mltutor: learn systems programming for machine learning, one checked save at a time."""
