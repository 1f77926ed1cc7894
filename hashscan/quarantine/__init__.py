"""The quarantine: a store of isolated files that is its own journal.

``records``  what is known about one isolated file, and its JSON form
``store``    the directory that holds records and contents, its lock and its durable writes
``index``    ids of records by inode and by path
``places``   opening a file's place in a volume, and looking at what lies somewhere
``faults``   what went wrong, in one word for reports and one sentence for the reader
``keep``     the steps from "moved aside" to "quarantined", or back; shared by act and recover
``act``      the act stage: report, or quarantine
``restore``  back to the volume
``recover``  finishes or undoes what a killed process left
``upkeep``   verify, export, purge
"""
