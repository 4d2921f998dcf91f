"""Makes the table of docs/diagnostics.md from what the tests of tests/engine/matrix wrote.

MLTUTOR_MATRIX=benchmarks/results/matrix.json python -m pytest tests/engine/matrix && python docs/matrix.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE, RESULTS = ROOT / "docs" / "diagnostics.md", ROOT / "benchmarks" / "results" / "matrix.json"
BEGIN, END = "<!-- matrix: made by docs/matrix.py -->", "<!-- end of matrix -->"
sys.path[:0] = [str(ROOT / "tests" / "engine" / folder) for folder in ("matrix", "worker")]

from matrix_cases import CASES, TOOLCHAINS, Case, cell  # noqa: E402
from operator_cases import names_of_codes  # noqa: E402

Outcomes = dict[tuple[str, str, str], str]


def read_outcomes() -> Outcomes:
    """(defect, toolchain, Python) -> `named` or `missed`."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {(row["defect"], row["toolchain"], row["python"]): row["outcome"] for row in rows}


def render(outcomes: Outcomes) -> str:
    """The table with a row a defect, why a cell is empty or missed, then what is said of planted operators."""
    lines = [f"| | {' | '.join(TOOLCHAINS)} |", f"|---|{'---|' * len(TOOLCHAINS)}"]
    notes: list[str] = []
    for defect in CASES:
        cells = [_cell(outcomes, defect, toolchain, notes) for toolchain in TOOLCHAINS]
        lines.append(f"| `{defect}` | {' | '.join(cells)} |")
    lines += ["", *(f"{i}. {note}" for i, note in enumerate(notes, 1))]
    lines += ["", "| operators of PyTorch | planted | |", "|---|---|---|"]
    for code, names in names_of_codes().items():
        lines.append(f"| `{code}` | {len(names)} | {_by_outcome(outcomes, code, 'operators', Case(''), notes)} |")
    return "\n".join(lines)


def _cell(outcomes: Outcomes, defect: str, toolchain: str, notes: list[str]) -> str:
    found = cell(defect, toolchain)
    if isinstance(found, str):
        return f"n/a ({_note(found, notes)})"
    return _by_outcome(outcomes, defect, toolchain, found, notes)


def _by_outcome(outcomes: Outcomes, defect: str, toolchain: str, case: Case, notes: list[str]) -> str:
    by_outcome: dict[str, list[str]] = {}
    for (d, t, version), outcome in sorted(outcomes.items()):
        if (d, t) == (defect, toolchain):
            by_outcome.setdefault(outcome, []).append(version)
    return "; ".join(_words(outcome, versions, case, notes) for outcome, versions in sorted(by_outcome.items()))


def _words(outcome: str, versions: list[str], case: Case, notes: list[str]) -> str:
    if outcome == "missed":
        return f"**missed** {', '.join(versions)} ({_note(case.missed or 'see the test', notes)})"
    return f"named {', '.join(versions)}"


def _note(text: str, notes: list[str]) -> int:
    if text not in notes:
        notes.append(text)
    return notes.index(text) + 1


def page_with_table(page: str, table: str) -> str:
    """The page with this table between the marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8"), render(read_outcomes())), encoding="utf-8")
