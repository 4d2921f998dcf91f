"""What each command does, in groups: browse, run, compare, change files, prove, mend the terminal, start."""
