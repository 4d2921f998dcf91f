"""One panel a file, its .tcss beside it."""
