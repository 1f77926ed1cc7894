"""Runs hashscan as ``python -m hashscan``."""

import os
import sys

if not __package__:
    # ``interpreter.command`` starts this file by its path, and an isolated Python finds no
    # checkout.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from hashscan.interpreter import require

if __name__ == "__main__":
    require()

    from hashscan.cli import main

    main()
