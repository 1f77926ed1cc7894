"""The only code that opens, reads or moves customers' files; always by descriptor.

``beneath`` opens directories and files below a volume's root. ``listing`` lists directories.
``reading`` reads content without changing the page cache. ``rename`` moves files without
overwriting. ``metadata`` saves and restores owners, modes, times and attributes. ``private`` makes
the directory in which a moved file is staged and checked again.
"""
