"""The immutable snapshot a worker decides by, in parts: one module and one class each.

A new part is a new module here; who needs it asks `Directory.part` for its class.
"""

from sipcore.directory.accounts import Account, Accounts, AccountState, Device
from sipcore.directory.addresses import Addresses, DomainAddress
from sipcore.directory.domains import Domain, Domains
from sipcore.directory.edges import Edges
from sipcore.directory.networks import OpenNetworks
from sipcore.directory.number_lookup import NumberLookup
from sipcore.directory.part import Delta, Part
from sipcore.directory.peers import TrustedPeers
from sipcore.directory.snapshot import Directory

__all__ = [
    "Account",
    "AccountState",
    "Accounts",
    "Addresses",
    "Delta",
    "Device",
    "Directory",
    "Domain",
    "DomainAddress",
    "Domains",
    "Edges",
    "NumberLookup",
    "OpenNetworks",
    "Part",
    "TrustedPeers",
]
