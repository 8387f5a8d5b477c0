"""Serve faces over HTTP: embed, compare, enrol and search photos, with a web page.

    python deploy/serve.py --model models/sface-m1,0
    python deploy/serve.py --model r50.onnx --port 9000 --store people.sqlite --threshold 1.3
    python deploy/serve.py --model r50.onnx --host 0.0.0.0 --token-file token.txt

The same as the command arcface-serve, from a checkout; its other commands are here too:

    python deploy/serve.py backup copy.sqlite --store people.sqlite

Listens on this machine only, unless a token is demanded of whoever asks.  The page is at /.
"""

from arcface_mxnet.serve.command import build_parser, main  # noqa: F401 (the documents' test)

if __name__ == "__main__":
    raise SystemExit(main())
