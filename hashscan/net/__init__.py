"""HTTP with bounds, and its faults in words; for whatever talks to another machine."""
