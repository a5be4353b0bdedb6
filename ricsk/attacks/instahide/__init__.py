"""Private images out of InstaHide's encodings."""

from ricsk._publish import publish
from ricsk.attacks.instahide._recovery import InstaHideRecovery, recover_instahide

__all__ = ["InstaHideRecovery", "recover_instahide"]

publish(globals())
