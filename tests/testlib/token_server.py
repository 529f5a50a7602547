"""The token server of a docker-registry with `auth: token` (distribution's "Token Authentication" pages)."""

import base64
import datetime
import json
import secrets
import time
from collections import Counter
from fnmatch import fnmatchcase
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from fault_proxy import FaultyServer

from dockless.testing.message import ApiError, Query, Response

ISSUER = "test-issuer"
SERVICE = "test-registry"
# docker-registry accepts a token for a minute after its expiry.
LEEWAY = 60


class Account(NamedTuple):
    """`rights`: a pattern of repositories -> the allowed actions."""

    password: str
    rights: dict
    identity_token: str = ""


class TokenServer(FaultyServer):
    """Issues tokens to `accounts` (by name; "" is anonymous access) at `/token`, by GET and by POST.

    `lifetime`: seconds that a token is valid, from `skew` seconds from now on. `expires_in`: the lifetime in the
    response, none for 0. `field`: the name of the field with the token. `takes_post`: whether the server supports
    OAuth2. `issued` are all tokens so far. `uses`: the number of requests that a token is valid for, 0 for any number.
    `one_at_a_time`: whether a new token ends all earlier ones.
    """

    def __init__(self, directory, accounts):
        super().__init__()
        self.accounts = accounts
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _certificate(self._key)
        self.bundle = directory / "token.crt"
        self.bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        # Clients refuse it for a registry at another port of this machine: a FaultProxy names itself in its place.
        self.realm = self.url + "/token"

    def restore(self):
        super().restore()
        self.lifetime = 300
        self.skew = 0
        self.expires_in = 300
        self.field = "token"
        self.takes_post = True
        self.issued = []
        self.uses = 0
        self.one_at_a_time = False
        self._used = Counter()
        self._expired = {}

    @property
    def registry_auth(self):
        """The section of docker-registry's configuration."""
        return (
            f"auth: {{token: {{realm: '{self.realm}', service: {SERVICE}, issuer: {ISSUER},"
            f" rootcertbundle: {self.bundle}}}}}\n"
        )

    def expire(self):
        """Expires all tokens that were issued."""
        for token in list(self.issued):
            if token in self._expired:
                continue
            claims = json.loads(_unpacked(token.split(".")[1]))
            claims.update(exp=int(time.time()) - LEEWAY - 60, nbf=int(time.time()) - 3600)
            self._expired[token] = self._sign(claims)

    def with_expired_token(self, authorization):
        """Returns an Authorization header in which the token has expired."""
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            self._used[token] += 1
            used_up = token in self.issued and 0 < self.uses < self._used[token]
        if used_up:
            claims = json.loads(_unpacked(token.split(".")[1]))
            return f"{scheme} {self._sign({**claims, 'exp': int(time.time()) - LEEWAY - 60, 'nbf': 0})}"
        return f"{scheme} {self._expired[token]}" if token in self._expired else authorization

    def handle(self, request):
        if request.path != "/token":
            raise ApiError(404, "UNSUPPORTED", "there are only tokens here")
        if request.method == "GET":
            form, name = request.query, self._basic_user(request)
        elif request.method == "POST" and self.takes_post:
            form = Query.parse((request.read_all(65536) or b"").decode())
            name = self._form_user(form)
        else:
            raise ApiError(405, "UNSUPPORTED", "The operation is unsupported.")
        claims = {
            "iss": ISSUER,
            "sub": name,
            # A string, because docker-registry 2.8 refuses a list.
            "aud": form.get("service"),
            "iat": int(time.time()) + self.skew,
            "nbf": int(time.time()) + self.skew - 5,
            "exp": int(time.time()) + self.skew + self.lifetime,
            "jti": secrets.token_hex(8),
            "access": [self._access(name, scope) for scope in " ".join(form.all("scope")).split()],
        }
        if self.one_at_a_time:
            self.expire()
        token = self._sign(claims)
        self.issued.append(token)
        document = {self.field: token}
        if self.expires_in:
            document["expires_in"] = self.expires_in
        return Response.of_json(200, document)

    def _basic_user(self, request):
        header = request.header("Authorization")
        if not header:
            return ""
        scheme, _, text = header.partition(" ")
        name, _, password = base64.b64decode(text).decode().partition(":")
        if scheme != "Basic" or name not in self.accounts or self.accounts[name].password != password:
            raise ApiError(401, "UNAUTHORIZED", "wrong user or password")
        return name

    def _form_user(self, form):
        if form.get("grant_type") == "refresh_token":
            found = [
                n
                for n, a in self.accounts.items()
                if a.identity_token and a.identity_token == form.get("refresh_token")
            ]
        else:
            found = [
                n for n, a in self.accounts.items() if (n, a.password) == (form.get("username"), form.get("password"))
            ]
        if not found:
            raise ApiError(401, "UNAUTHORIZED", "wrong grant")
        return found[0]

    def _access(self, name, scope):
        kind, _, rest = scope.partition(":")
        repository, _, actions = rest.rpartition(":")
        rights = self.accounts[name].rights if name in self.accounts else {}
        allowed = {
            action for pattern, some in rights.items() if fnmatchcase(repository, pattern) for action in some.split(",")
        }
        wanted = sorted(allowed) if actions == "*" else actions.split(",")
        return {"type": kind, "name": repository, "actions": [action for action in wanted if action in allowed]}

    def _sign(self, claims):
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        # The certificate of the signer, because the format of a `kid` differs between releases of distribution.
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        text = ".".join(_packed(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_packed(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-tokens")])
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _packed(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpacked(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
