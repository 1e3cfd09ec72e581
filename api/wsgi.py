"""Entry of the API process: `gunicorn -c api/gunicorn_conf.py api.wsgi:app`."""

from api.start import start

app = start()
