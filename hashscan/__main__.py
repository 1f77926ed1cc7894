"""``python -m hashscan``."""

from hashscan.cli import main

if __name__ == "__main__":
    main()
