"""What is measured, a file a suite."""
