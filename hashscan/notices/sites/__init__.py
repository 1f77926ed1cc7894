"""Finds the file of a URL as the web servers of this machine do, without a request to them."""
