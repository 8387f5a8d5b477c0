"""The face service: photos come in over HTTP, answers about faces go out.

    gate.py       limits, access and overload, before anything is parsed
    photos.py     bytes of strangers to pixels, within limits
    recognizer.py pixels to face, crop and embedding; batches what waits
    people.py     enrolled people, in an SQLite file
    metrics.py    what Prometheus reads
    app.py        the routes
    web/          the page
    command.py    the command line

deploy/serve.py and the command arcface-serve start it.
"""
