"""What an encryptor gives away: attacks run against it, and the report on them."""

from ricsk._publish import publish
from ricsk.audit._audit import audit
from ricsk.audit._compare import compare
from ricsk.audit._default_attacks import default_attacks
from ricsk.audit._findings import AttackRun, SchemeRun, TrialRun
from ricsk.audit._result import AuditResult
from ricsk.audit._score import Scores, score

__all__ = [
    "AttackRun",
    "AuditResult",
    "SchemeRun",
    "Scores",
    "TrialRun",
    "audit",
    "compare",
    "default_attacks",
    "score",
]

publish(globals())
