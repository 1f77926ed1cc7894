"""The daemon: what watches, keeps up and steps aside, put together from the rooms below."""
