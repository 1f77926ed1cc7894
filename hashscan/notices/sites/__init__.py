"""Finds the file for a URL from the web server's configuration, without a request."""
