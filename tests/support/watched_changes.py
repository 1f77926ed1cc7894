"""Changes in a tree, and what a source of changes reports of them."""

from hashscan.watch.source import Changed, Lost


def changed(source, *, tries=1):
    found = []
    for _ in range(tries):
        found += source.read()
    assert not [one for one in found if isinstance(one, Lost)], found
    return {(one.directory, one.name) for one in found if isinstance(one, Changed)}


def write(path, content=b"x"):
    with open(path, "wb") as file:
        file.write(content)
