"""What runs plans: the executor with its memory and threads, and the float64 reference."""
