"""The face service: photos come in over HTTP, answers about faces go out.

    server.py, connections.py   the process and its sockets: time and number are bounded
    gate.py, access.py, bodies.py   limits, access and overload, before anything is parsed
    forms.py, photos.py         bytes of strangers to photos and pixels, within limits
    pipeline.py, recognizer.py, batcher.py   photos to faces, faces to embeddings, in batches
    names.py, people.py         enrolled people, changed and searched
    store.py, store_form.py, model_print.py, keeping.py   the SQLite file, whose embeddings it
                                holds, its backups
    routes.py, choosing.py, answers.py, openapi.py, health.py, metrics.py, page.py, app.py
                                what is asked and answered
    web/                        the page
    command.py                  the command line

deploy/serve.py and the command arcface-serve start it.
"""
