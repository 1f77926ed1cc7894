"""HTTP with bounds on time and size, and its faults in words."""
