"""What may be written of other servers, by whatever hand: each function returns it as it counts.

ValueError says what is wrong with it, and how it is written.
"""

from __future__ import annotations

from ipaddress import ip_network

from sipcore.errors import MalformedMessage
from sipcore.message import parse_uri
from sipcore.transport.flow import is_address


def peer_domain(text: str) -> str:
    """A domain that a certificate can name, in lower case."""
    domain = text.lower().removesuffix(".")
    if not is_domain(domain):
        raise ValueError(f"{text} is no domain that a certificate can name: write pbx.example.org.")
    return domain


def enum_domain(text: str) -> str:
    """A domain below which telephone numbers are in the DNS, in lower case."""
    domain = text.lower().removesuffix(".")
    if not is_domain(domain):
        raise ValueError(f"{text} is no domain: write e164.arpa.")
    return domain


def network(text: str) -> str:
    """A network, or one address."""
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"{error}: write 10.0.0.0/8 or 192.168.7.2.") from None


def edge(domain: str, registrar: str) -> tuple[str, str]:
    """A domain in lower case and the URI of its registrar."""
    name = domain.lower().removesuffix(".")
    if not is_domain(name) or not is_sip_uri(registrar):
        raise ValueError(
            f"{domain}={registrar} does not say where a domain's registrar is: "
            "write other.example=sip:192.0.2.9:5060."
        )
    return name, registrar


def sip_uri(text: str) -> str:
    """The URI of a server."""
    if not is_sip_uri(text):
        raise ValueError(f"{text} is no SIP URI: write sip:192.0.2.9:5060.")
    return text


def is_domain(text: str) -> bool:
    """Whether this is the name of a domain, and nothing besides."""
    is_bare = not set("@:;?/*<>") & set(text) and not is_address(text)
    return is_bare and all(text.split(".")) and is_sip_uri(f"sip:{text}")


def is_sip_uri(text: str) -> bool:
    """Whether something can be sent there."""
    try:
        return parse_uri(text).scheme in ("sip", "sips")
    except MalformedMessage:
        return False
