"""The only code that touches customers' files: by descriptor, never by a joined path.

``beneath`` opens directories and files below a volume's root, ``listing`` reads directories,
``reading`` reads content without disturbing the page cache, ``rename`` moves names without
overwriting, ``metadata`` keeps and gives back owners, modes, times and attributes, and
``private`` keeps the directory in which a file is held while it is judged once more.
"""
