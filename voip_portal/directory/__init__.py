"""The directory's tables: one module per part in `parts/`, with what is watched, read and kept of it.

Whatever is found there is watched by triggers (`changes`), read into the daemon (`bridge`) and kept on
its disk. No Django here: the daemon imports it.
"""
