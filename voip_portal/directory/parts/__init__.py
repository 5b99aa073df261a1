"""One module for each part of the directory; whatever has a `LOADER` here is one."""
