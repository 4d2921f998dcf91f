"""Defects: the exception by which a check or a fixture names what is wrong."""

from __future__ import annotations

from tutor.core.finding import Finding


class Defects(AssertionError):
    """One or more findings. Those without a place get the line that the check's `finds` marker names."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings
