"""Finds the file of a URL from the web server's configuration, without a request."""
