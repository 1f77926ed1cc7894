"""Notices of hotlines and authorities: reads, stores and follows them."""
