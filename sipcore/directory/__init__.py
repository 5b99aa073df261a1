"""The immutable snapshot a worker decides by: accounts, devices, domains and their addresses."""

from sipcore.directory.snapshot import (
    Account,
    AccountState,
    Device,
    Directory,
    Domain,
    DomainAddress,
)

__all__ = ["Account", "AccountState", "Device", "Directory", "Domain", "DomainAddress"]
