"""What a command has to do with the terminal that it was started from."""
