"""Notebooks, whatever Jupyter and IPython find in the user's folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

CELL = "print('started' in globals(), dataset)"


@pytest.mark.slow
def test_the_users_own_jupyter_has_no_influence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    startup = home / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("started = True")
    (home / "startup.py").write_text("started = True")
    kernel = home / ".local/share/jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["false"], "display_name": "", "language": ""}')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONSTARTUP", str(home / "startup.py"))
    monkeypatch.setenv("JUPYTER_PATH", str(home / ".local/share/jupyter"))
    template, out = tmp_path / "template.ipynb", tmp_path / "out.ipynb"
    parameters = nbformat.v4.new_code_cell("dataset = config_file = ''")
    parameters["metadata"]["tags"] = ["parameters"]
    cells = [parameters, nbformat.v4.new_code_cell(CELL)]
    kernelspec = {"name": "python3", "display_name": "Python", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec})
    nbformat.write(notebook, template)
    done = subprocess.run(
        [
            *[sys.executable, "-m", "flatreg.explore.notebook", "--template", template],
            *["--config", tmp_path / "config.json", "--dataset", "digits"],
            *["--out", out, "--html", tmp_path / "out.html"],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = nbformat.read(out, as_version=4).cells[-1].outputs
    assert [output["text"] for output in printed] == ["False digits\n"]
