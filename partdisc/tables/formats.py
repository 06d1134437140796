"""Rows of cells as text, Markdown and LaTeX."""

from typing import NamedTuple


class Line(NamedTuple):
    """One line of a table: the heading of a block, or the cells of a row."""

    block: str
    cells: list[str]


def text(title: str, head: list[str], lines: list[Line], notes: list[str]) -> str:
    """Write a table as plain text."""
    rows = [head] + [cells for _, cells in lines if cells]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *rest = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "  ".join([first, *rest]).rstrip()

    written = [title, "", line(head), "  ".join("-" * width for width in widths)]
    for block, cells in lines:
        written.append(line(cells) if cells else f"-- {block}")
    return "\n".join([*written, "", *notes, ""])


def markdown(title: str, head: list[str], lines: list[Line], notes: list[str]) -> str:
    """Write a table as Markdown."""
    written = [f"**{title}**", "", _pipes(head), _pipes(["---"] * len(head))]
    for block, cells in lines:
        written.append(_pipes(cells or [f"*{block}*", *[""] * (len(head) - 1)]))
    return "\n".join([*written, "", *(f"- {note}" for note in notes), ""])


def _pipes(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_LATEX = str.maketrans({
    "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "±": r"$\pm$", "$": r"\$",
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
})  # fmt: skip


def latex(title: str, head: list[str], lines: list[Line], notes: list[str]) -> str:
    """Write a table as LaTeX, without packages."""

    def line(cells: list[str]) -> str:
        return " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"

    written = [
        r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\hline", line(head), r"\hline",
    ]  # fmt: skip
    for block, cells in lines:
        if cells:
            written.append(line(cells))
        else:
            written.append(rf"\multicolumn{{{len(head)}}}{{l}}{{{block.translate(_LATEX)}}} \\")
    caption = ". ".join([title, *notes]).translate(_LATEX)
    written += [r"\hline", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}", ""]
    return "\n".join(written)
