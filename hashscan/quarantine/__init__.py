"""The quarantine: a store of isolated files that is its own journal; the brakes.

``records``     what is known about one isolated file, and its JSON form
``store``       the directory that holds records and contents, its lock and its durable writes
``file_place``  opens a file's place in a volume, and finds out what is there now
``act``         the act stage: report, or quarantine
``conclude``    the steps from "moved aside" to "quarantined", or back; act and recover use them
``recover``     finishes or undoes what a killed process left
``restore``     back to the volume
``manage``      list, verify, export, purge
``explain``     what went wrong, in one word for reports and one sentence for the reader
``brakes``      lets a match move, or holds it
"""
