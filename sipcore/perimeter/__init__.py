"""The perimeter: limits on what senders who have proved nothing may hold. Facts in, a verdict out."""

from sipcore.perimeter.messages import StrangerMessages
from sipcore.perimeter.refusals import Refusals
from sipcore.perimeter.strangers import StrangerCalls

__all__ = ["Refusals", "StrangerCalls", "StrangerMessages"]
