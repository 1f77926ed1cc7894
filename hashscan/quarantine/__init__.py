"""The quarantine: the store of isolated files and their records; the brakes that hold matches.

``records``     the record of one isolated file, and its JSON form
``store``       the directory of records and contents, its lock and its durable writes
``file_place``  opens a file's place on a volume, and reads the file's metadata and digests
``act``         moves a match from its volume to the store
``conclude``    checks a moved file, then keeps it or puts it back; act and recover use it
``recover``     finishes or undoes the jobs that a killed process left unfinished
``restore``     restores a file to its volume
``manage``      lists, verifies, exports and purges the files in the store
``explain``     errors about a customer's file: a reason, and a message with a fix
``brakes``      lets a match move, or holds it
"""
