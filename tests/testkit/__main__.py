"""Write the kit anew, always the same bytes: ``python -m tests.testkit``."""

from tests.testkit.kit import write_all
from tests.testkit.test_testkit import make_cases

cases = list(make_cases())
write_all(cases)
outcomes = [case.expect for case in cases]
counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
n_bytes = sum(len(case.data) for case in cases)
print(f"{len(cases)} cases, {n_bytes:,} bytes: {counts}")
