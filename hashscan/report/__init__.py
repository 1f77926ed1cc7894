"""The tell stage: ``text`` for people, ``jsonl`` for programs; siblings with one interface."""
