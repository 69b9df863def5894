#!/bin/sh
# Set up the machine; called by make. Each step is safe to repeat.
#   envs/setup.sh venv PYTHON FOLDER   environment from the lock file, with flatreg
#   envs/setup.sh torch PYTHON FOLDER  environment with PyTorch, for the bench
#   envs/setup.sh audit PYTHON FOLDER  environment of the tools that audit the first one
#   envs/setup.sh tex                  LaTeX with the paper's packages
#   envs/setup.sh chromium             browser for the tests of the Explore page
#   envs/setup.sh slurm                scheduler for the cluster tests
set -eu

TEX_PACKAGES="latexmk texlive-latex-base texlive-latex-recommended texlive-latex-extra \
texlive-fonts-recommended texlive-science texlive-pictures lmodern"
# One file of each package above: latexmk alone cannot compile the paper.
TEX_FILES="article.cls natbib.sty hyperref.sty booktabs.sty microtype.sty caption.sty algpseudocode.sty tikz.sty \
lmodern.sty phvr7t.tfm"

fail() {
    echo "error: $*" >&2
    exit 1
}

# Print the command that runs apt-get as root without a prompt, or return 1.
apt_command() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then
        echo env DEBIAN_FRONTEND=noninteractive apt-get
    elif sudo -n true 2>/dev/null; then
        echo sudo -n env DEBIAN_FRONTEND=noninteractive apt-get
    else
        return 1
    fi
}

# apt_install PACKAGE…: install, with output only if it fails.
apt_install() {
    apt=$(apt_command)
    log=$(mktemp)
    if $apt -q update >"$log" 2>&1 &&
        $apt -q install -y --no-install-recommends "$@" >>"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 20 "$log" >&2
        fail "apt-get could not install: $* (all of its output: $log)"
    fi
}

# make_venv PYTHON FOLDER: make an empty environment, and set $pip to install into it.
make_venv() {
    python=$1 folder=$2
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
        fail "$python is missing or broken; install Python 3.11 or newer, or name one: make PYTHON=python3.12"
    case $version in
    3.[0-9] | 3.10 | [012].*)
        fail "$python is Python $version and 3.11 or newer is needed; name one: make PYTHON=python3.12"
        ;;
    esac
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_command >/dev/null ||
            fail "$python has no venv module; type: sudo apt-get install python$version-venv"
        echo "Installing python$version-venv with apt …"
        apt_install "python$version-venv"
    fi
    echo "Setting up $folder with Python $version (a few minutes, once) …"
    # A folder whose Python is missing or of another version must be cleared.
    if "$folder/bin/python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
        "$python" -m venv "$folder"
    else
        "$python" -m venv --clear "$folder"
    fi
    pip="$folder/bin/python -m pip --disable-pip-version-check -qq install"
}

fill_with_flatreg() {
    $pip --use-pep517 --require-hashes -r envs/requirements.txt
    $pip --use-pep517 --no-deps --no-build-isolation --editable .
}

have_tex() {
    command -v latexmk >/dev/null 2>&1 && kpsewhich $TEX_FILES >/dev/null 2>&1
}

install_tex() {
    if have_tex; then
        return
    fi
    if apt_command >/dev/null; then
        echo "Installing LaTeX with apt (about a minute, once) …"
        apt_install $TEX_PACKAGES
        have_tex || fail "LaTeX was installed and still lacks one of: $TEX_FILES"
        return
    fi
    if command -v apt-get >/dev/null 2>&1; then
        fail "LaTeX is missing; type: sudo apt-get install $TEX_PACKAGES"
    elif command -v dnf >/dev/null 2>&1; then
        fail "LaTeX is missing; type: sudo dnf install latexmk texlive-scheme-medium texlive-collection-latexextra texlive-collection-mathscience"
    elif command -v brew >/dev/null 2>&1; then
        fail "LaTeX is missing; type: brew install --cask mactex-no-gui, and open a new terminal"
    elif command -v conda >/dev/null 2>&1; then
        fail "LaTeX is missing; type: conda install -c conda-forge texlive-core latexmk"
    else
        fail "LaTeX is missing; install TeX Live with latexmk, full scheme, and put it on PATH"
    fi
}

# install_for_tests NAME COMMANDS PACKAGES: install them if a command is missing.
install_for_tests() {
    name=$1 commands=$2 packages=$3
    for command in $commands; do
        PATH=$PATH:/usr/sbin command -v "$command" >/dev/null 2>&1 || missing=$command
    done
    if [ -z "${missing-}" ]; then
        return
    fi
    if apt_command >/dev/null; then
        echo "Installing $name with apt, for the tests (about a minute, once) …"
        apt_install $packages
        return
    fi
    fail "$name is missing, which the tests need; put $missing on PATH (Debian: sudo apt-get install $packages)"
}

case ${1-} in
venv)
    make_venv "$2" "$3"
    fill_with_flatreg
    ;;
torch | audit)
    make_venv "$2" "$3"
    $pip -r "envs/$1.txt"
    ;;
tex) install_tex ;;
chromium) install_for_tests Chromium chromium chromium ;;
slurm) install_for_tests Slurm "slurmctld slurmd munged sbatch" "slurm-wlm munge" ;;
*) fail "envs/setup.sh takes: venv PYTHON FOLDER, torch PYTHON FOLDER, audit PYTHON FOLDER, tex, chromium, or slurm" ;;
esac
