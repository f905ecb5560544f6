"""What contributors are given to begin with."""
