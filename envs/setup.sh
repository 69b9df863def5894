#!/bin/sh
# Set up the machine; called by make. Each step is safe to repeat.
#   envs/setup.sh venv PYTHON FOLDER   environment from the lock file, with flatreg
#   envs/setup.sh torch PYTHON FOLDER  environment with PyTorch, for the bench
#   envs/setup.sh audit PYTHON FOLDER  environment of the tools that audit the first one
#   envs/setup.sh tex                  LaTeX with the paper's packages
#   envs/setup.sh chromium             browser for the tests of the Explore page
#   envs/setup.sh slurm                scheduler for the cluster tests
set -eu
# Else a shell may take an interrupted uv for one that failed.
trap 'exit 130' INT
trap 'exit 143' TERM

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

# lay_venv [--clear]: lay the environment $folder, marked as unfinished before it has pip.
lay_venv() {
    "$python" -m venv --without-pip "$@" "$folder"
    touch "$folder/unfinished"
    "$python" -m venv "$folder"
}

# make_venv PYTHON FOLDER: make an environment to install into.
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
    echo "Setting up $folder with Python $version, by uv (a minute or so, once) …"
    # A folder whose Python is missing or of another version must be cleared, and so must an
    # unfinished one: a package of which only a part is there can count as installed.
    if [ ! -e "$folder/unfinished" ] &&
        "$folder/bin/python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
        lay_venv
    else
        lay_venv --clear
    fi
}

by_pip() {
    "$folder/bin/python" -m pip --disable-pip-version-check -qq install --use-pep517 "$@"
}

by_uv() {
    "$folder/bin/python" envs/uv_like_pip.py "$uv" pip install -q --python "$folder/bin/python" "$@"
}

# Set $uv to a uv that runs: $UV, or else the locked one, in a folder that `fill` removes.
find_uv() {
    uv=${UV:-uv}
    if "$uv" --version >/dev/null 2>&1; then
        return
    fi
    uv="$folder/uv/bin/uv"
    by_pip --require-hashes --target "$folder/uv" -r envs/uv.txt && "$uv" --version
}

# install_by INSTALL NAME: install what the environment NAME holds, by by_uv or by_pip.
install_by() {
    case $2 in
    venv)
        "$1" --require-hashes -r envs/requirements.txt &&
            "$1" --no-deps --no-build-isolation --editable .
        ;;
    *) "$1" -r "envs/$2.txt" ;;
    esac
}

# pip_goes_on WHY: say so, with the first line of what uv or its installation said.
pip_goes_on() {
    said=$(head -n 1 "$folder/uv.log")
    echo "$1 (${said:-no message}), so pip goes on (a few minutes, once) …"
}

# fill NAME: fill the environment that make_venv made by uv, or else by pip.
fill() {
    if ! find_uv >"$folder/uv.log" 2>&1; then
        pip_goes_on "uv could not be installed"
        install_by by_pip "$1"
    elif ! install_by by_uv "$1" >"$folder/uv.log" 2>&1; then
        pip_goes_on "uv failed"
        lay_venv --clear
        install_by by_pip "$1"
    fi
    rm -rf "$folder/uv" "$folder/uv.log" "$folder/unfinished"
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
venv | torch | audit)
    make_venv "$2" "$3"
    fill "$1"
    ;;
tex) install_tex ;;
chromium) install_for_tests Chromium chromium chromium ;;
slurm) install_for_tests Slurm "slurmctld slurmd munged sbatch" "slurm-wlm munge" ;;
*) fail "envs/setup.sh takes: venv PYTHON FOLDER, torch PYTHON FOLDER, audit PYTHON FOLDER, tex, chromium, or slurm" ;;
esac
