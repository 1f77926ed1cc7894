"""``python -m hashscan``."""

import os
import sys

if not __package__:
    # Started by its path (``interpreter.command``): an isolated Python does not find a checkout.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from hashscan.interpreter import require

if __name__ == "__main__":
    require()

    from hashscan.cli import main

    main()
