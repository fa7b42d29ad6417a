"""Training of the embedded pair of CLIPs."""
