"""Sends HTTP requests within bounds of time and size, and explains their faults in words."""
