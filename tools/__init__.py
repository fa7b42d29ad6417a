"""What makers of the project run and users never do."""
