"""Real LaTeX: each problem in a paper fails with one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = r"""\documentclass{article}
\newcommand{\defval}[2]{\expandafter\def\csname val:#1\endcsname{#2}}
\newcommand{\val}[2][]{\ifcsname val:#1@#2\endcsname\csname val:#1@#2\endcsname
  \else\errmessage{Undefined number #2}\fi}
\input{generated/numbers}
\begin{document}
There are \val{count/runs} runs \cite{known}. BODY
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""
BIB = "@misc{known, author = {A. Author}, title = {Title}, year = {2020}}\n"
ITEM = {
    **{"id": "count/runs", "printed": "60", "value": 60, "statistic": "number of runs"},
    **{"runs": [], "files": [], "command": "none"},
}
NUMBERS = "\\defval{@count/runs}{60}\n"


def compile_paper(folder: Path, body: str, numbers: str = NUMBERS) -> tuple[int, str]:
    (folder / "main.tex").write_text(TEXT.replace("BODY", body))
    (folder / "references.bib").write_text(BIB)
    (folder / "numbers.tex").write_text(numbers)
    (folder / "numbers.json").write_text(json.dumps([ITEM]))
    done = subprocess.run(
        [
            *[sys.executable, "-m", "flatreg.paper.compile", "--text", folder / "main.tex"],
            *["--references", folder / "references.bib", "--generated", folder / "numbers.tex"],
            *["--provenance", folder / "numbers.json"],
            *["--figures", folder / "numbers.tex", "--out", folder / "out.pdf"],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_sound_paper_compiles_to_the_same_bytes(tmp_path: Path) -> None:
    assert compile_paper(tmp_path, "All is well.") == (0, "")
    first = (tmp_path / "out.pdf").read_bytes()
    assert compile_paper(tmp_path, "All is well.") == (0, "")
    assert (tmp_path / "out.pdf").read_bytes() == first


@pytest.mark.slow
def test_the_users_own_tex_has_no_influence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compile_paper(tmp_path, "All is well.") == (0, "")
    first = (tmp_path / "out.pdf").read_bytes()
    home = tmp_path / "home"
    for place in ("texmf/tex/latex", "inputs"):
        (home / place).mkdir(parents=True)
        (home / place / "article.cls").write_text("\\errmessage{the user's own class}")
    (home / "inputs/plain.bst").write_text("the user's own style")
    (home / ".latexmkrc").write_text('$out_dir = "build";')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TEXINPUTS", f"{home}/inputs:")
    monkeypatch.setenv("BSTINPUTS", f"{home}/inputs:")
    monkeypatch.setenv("max_print_line", "50")
    code, said = compile_paper(tmp_path, "All is well.")
    names = "BSTINPUTS, TEXINPUTS, max_print_line"
    assert (code, said) == (0, f"left out, because they could change results: {names}\n")
    assert (tmp_path / "out.pdf").read_bytes() == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "numbers", "message"),
    [
        (r"\val{count/cats}", NUMBERS, "LaTeX stops: Undefined number count/cats"),
        ("", NUMBERS + "\\defval{@count/dogs}{1}\n", "number @count/dogs is defined but not used"),
        (r"See~\ref{nowhere}.", NUMBERS, "Reference `nowhere'"),
        (r"\cite{unknown}", NUMBERS, "a citation is undefined: Citation `unknown'"),
        (r"\noindent\rule{500pt}{1pt}", NUMBERS, "a box is overfull"),
        (r"\undefinedmacro", NUMBERS, "LaTeX stops: Undefined control sequence"),
        ("It is 0.4242.", NUMBERS, "a number is typed: line 7: 0.4242"),
        (r"\newcommand{\x}{.}It is 0\x4242.", NUMBERS, "has no known origin: 0.4242, page 1"),
        ("", NUMBERS.replace("60", "61"), "has no known origin: 61, page 1 (There are 61 runs"),
    ],
)
def test_what_a_paper_must_not_have_is_one_line(
    tmp_path: Path, body: str, numbers: str, message: str
) -> None:
    code, said = compile_paper(tmp_path, body, numbers)
    assert code == 2
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.pdf").exists()
