"""A published repository, its server, and an agent."""

from repository_fixtures import agent, digests, published, publisher, server

__all__ = ["agent", "digests", "published", "publisher", "server"]
