"""From a URL to a file of this machine: as its web servers map it, without a request to them."""
