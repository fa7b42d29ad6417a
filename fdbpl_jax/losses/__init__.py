"""Training losses, and the regularizers beside them."""
