"""One gradient-based algorithm per file, and what wraps any of them."""
