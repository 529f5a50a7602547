"""A web service with a database driver, numpy and pandas."""

import importlib.metadata
import os
import sys

import celery
import numpy
import pandas
import psycopg
import sqlalchemy
import uvicorn
from cryptography.fernet import Fernet
from fastapi import FastAPI

app = FastAPI()
engine = sqlalchemy.create_engine("postgresql+psycopg://user@localhost/database")


@app.get("/sum/{count}")
def sum_of(count: int) -> dict:
    frame = pandas.DataFrame({"x": numpy.arange(count)})
    key = Fernet.generate_key()
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"text")) == b"text"
    distributions = list(importlib.metadata.distributions())
    missing = [str(file) for one in distributions for file in one.files or () if not file.locate().exists()]
    return {
        "sum": int(frame["x"].sum()),
        "python": sys.version.split()[0],
        "distributions": len(distributions),
        "missing_files": missing,
        "driver": f"{engine.dialect.driver} {psycopg.__version__} {psycopg.pq.__impl__}",
        "celery": celery.__version__,
        "cpu_seconds": sum(os.times()[:2]),
    }


def run() -> None:
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
