"""A web service: GET /products/NUMBER answers the name and the price of a product."""

import os

from bottle import Bottle, HTTPError
from catalog import label

app = Bottle()


@app.get("/products/<ean>")
def product(ean: str) -> str:
    if not label(ean):
        raise HTTPError(404, "There is no such product.")
    return label(ean) + "\n"


def main() -> None:
    app.run(host="0.0.0.0", port=int(os.environ["PORT"]), quiet=True)
