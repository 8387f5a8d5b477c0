#!/bin/sh
# make_venv.sh FOLDER: make a virtual environment with the first Python of 3.10 to 3.12 that runs.
set -eu
folder=$1
[ -x "$folder/bin/python" ] && exit 0
for python in python3.10 python3.11 python3.12 python3 python; do
    if "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
        echo "using $("$python" --version) ($python)"
        exec "$python" -m venv "$folder"
    fi
done
cat >&2 <<'END'
No Python 3.10, 3.11 or 3.12 found, and MXNet 1.9.1 runs on no other.
Install one (Debian, Ubuntu: apt-get install python3.11 python3.11-venv; macOS: brew install
python@3.11; anywhere: pyenv install 3.11), make sure `python3.11 --version` works, and run
make again.
END
exit 1
