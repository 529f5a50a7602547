"""A web service: GET /orders/NUMBER answers a signed order for a product."""

import os

from bottle import Bottle, HTTPError
from catalog import label
from itsdangerous import Signer

app = Bottle()


@app.get("/orders/<ean>")
def order(ean: str) -> str:
    if not label(ean):
        raise HTTPError(404, "There is no such product.")
    return Signer(os.environ["KEY"]).sign(f"1 {label(ean)}").decode() + "\n"


def main() -> None:
    app.run(host="0.0.0.0", port=int(os.environ["PORT"]), quiet=True)
