"""Execute a notebook and write it as HTML."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import nbformat
import papermill
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError

from flatreg import command
from flatreg.disk.files import checked_path, write_checked_text
from flatreg.errors import UserError

# The kernel of the running environment.
KERNEL = "python3"
# These name folders of the user's own kernels, templates, settings and start-up files.
FOLDERS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")


def main() -> None:
    """Execute the template for one data set and write it as a notebook and as HTML."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument("--template", type=Path, required=True, help="the notebook (.ipynb)")
    parser.add_inputs("config")
    parser.add_argument("--dataset", required=True, help="as the config names it")
    parser.add_out("the executed notebook")
    parser.add_argument("--html", type=Path, required=True, help="the notebook as HTML")
    arguments = parser.parse_args()
    logging.getLogger("papermill").setLevel(logging.ERROR)
    parameters = {"dataset": arguments.dataset, "config_file": str(arguments.config)}
    with tempfile.TemporaryDirectory(prefix="flatreg-notebook-") as folder:
        leave_out_the_users_files(folder)
        execute(arguments.template, parameters, arguments.out)
        write_checked_text(arguments.html, as_html(arguments.out))


def leave_out_the_users_files(folder: str) -> None:
    """Let Jupyter and IPython find an empty folder in place of the user's.

    Args:
        folder: an empty one.
    """
    os.environ |= dict.fromkeys(FOLDERS, folder) | {"JUPYTER_PREFER_ENV_PATH": "1"}


def execute(template: Path, parameters: dict[str, str], out: Path) -> None:
    """Execute a notebook with parameters.

    Raises:
        UserError: a cell fails. The message names the cell and its error; the notebook so far
            stays beside `out` with the suffix .failed.ipynb.
    """
    failed = out.with_suffix(".failed.ipynb")
    with checked_path(out) as temporary:
        try:
            papermill.execute_notebook(
                str(template),
                str(temporary),
                parameters=parameters,
                kernel_name=KERNEL,
                progress_bar=False,
                stdout_file=None,
            )
        except PapermillExecutionError as error:
            temporary.rename(failed)
            raise UserError(
                f"{template}: cell {error.cell_index} fails with {error.ename}: "
                f"{' '.join(error.evalue.split())[:200]}; see {failed}"
            ) from error
        nbformat.write(settled(nbformat.read(temporary, as_version=4)), temporary)
    failed.unlink(missing_ok=True)


def settled(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook without times, temporary paths and random names: the same each time it is run."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
    return notebook


def as_html(notebook: Path) -> str:
    """The notebook as an HTML page that loads nothing from the network."""
    exporter = HTMLExporter(
        template_name="lab", require_js_url="", mathjax_url="", mermaid_js_url=""
    )
    page, _ = exporter.from_notebook_node(nbformat.read(notebook, as_version=4))
    return page


if __name__ == "__main__":
    command.run(main)
