"""`talking-heads`: the pack from the command line."""
