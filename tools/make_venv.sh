#!/bin/sh
# make_venv.sh FOLDER [without-mxnet]: make a virtual environment with the first Python that runs:
# of 3.10 to 3.12, where MXNet 1.9.1 does; without it 3.13 if there is one, else another.
set -eu
folder=$1
[ -x "$folder/bin/python" ] && exit 0
newest=12
set -- "${2:-}" python3.10 python3.11 python3.12 python3 python
if [ "$1" = without-mxnet ]; then
    newest=99
    # pyenv's python3.13 on the path runs only where that version is the chosen one.
    set -- "$1" python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python \
        python3.14 python3.12 python3.11 python3.10 python3 python
fi
shift
for python in "$@"; do
    if "$python" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $newest))" \
        2>/dev/null; then
        echo "using $("$python" --version) ($python)"
        exec "$python" -m venv "$folder"
    fi
done
if [ "$newest" = 99 ]; then
    echo "No Python 3.10 or newer found: install one (apt-get install python3 python3-venv)." >&2
    exit 1
fi
cat >&2 <<'END'
No Python 3.10, 3.11 or 3.12 found, and MXNet 1.9.1 runs on no other.
Install one (Debian, Ubuntu: apt-get install python3.11 python3.11-venv; macOS: brew install
python@3.11; anywhere: pyenv install 3.11), make sure `python3.11 --version` works, and run
make again.
END
exit 1
