"""B61 to B67, and the clock of B72: unreachable registries, servers that are not registries, invalid responses."""

import datetime
import http.server
import socket
import subprocess
import threading
import time
from unittest.mock import Mock

import pytest
from requests.exceptions import InvalidSchema
from rows import case, row

from dockless.testing import Fault, Registry, make_certificate, server_context

pytestmark = pytest.mark.usefixtures("image")


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Resolves reg.example, other.example and proxy.example to 127.0.0.1, and no other names."""
    really = socket.getaddrinfo

    def look_up(host, *args, **options):
        host = host.decode() if isinstance(host, bytes) else host
        if host in ("reg.example", "other.example", "proxy.example"):
            return really("127.0.0.1", *args, **options)
        if not isinstance(host, str) or host.replace(".", "").isdigit() or host == "localhost":
            return really(host, *args, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", look_up)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    make_certificate(directory)
    return directory


@pytest.fixture(scope="module")
def tls_registry(certificates):
    with Registry(tls=server_context(certificates)) as found:
        yield found


@pytest.fixture
def port():
    """A port that refuses connections."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]


def port_of(registry):
    return registry.host.split(":")[1]


@pytest.mark.parametrize("command", [("tags",), ("inspect",), ("build", "oci:out", "--base"), ("copy", "oci:base")])
@row("B63")
def test_no_such_host(refused, manual, command):
    message = "cannot resolve host nobody.example; check the name and the network"
    assert refused(*command, "nobody.example/app") == f"GET https://nobody.example/v2/: {message}"
    assert sum(manual.sleeps) < 15


@row("B63")
def test_connection_refused(refused, manual, port):
    message = "connection refused; check the port, and that the registry is running"
    assert refused("copy", "oci:base", f"127.0.0.1:{port}/app") == f"GET http://127.0.0.1:{port}/v2/: {message}"
    assert refused("copy", "oci:base", f"reg.example:{port}/app") == f"GET https://reg.example:{port}/v2/: {message}"
    assert sum(manual.sleeps) < 15


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "reg.example"])
@row("B63")
def test_a_certificate_of_an_unknown_authority(refused, tls_registry, manual, name):
    tls_registry.reset_requests()
    where = f"{name}:{port_of(tls_registry)}"
    message = "the server's certificate is not signed by a trusted CA; pass the CA's certificate with --ca-file"
    assert refused("copy", "oci:base", f"{where}/app") == f"GET https://{where}/v2/: {message}"
    assert manual.sleeps == [] and tls_registry.requests == []


@row("B63")
def test_a_certificate_of_another_name(refused, works, tls_registry, certificates):
    where = f"reg.example:{port_of(tls_registry)}"
    trust = ("--ca-file", certificates / "ca.crt")
    message = "the server's certificate is not for reg.example; check the name; the certificate must contain the name"
    assert refused("copy", "oci:base", f"{where}/app", *trust) == f"GET https://{where}/v2/: {message}"
    works("copy", "oci:base", f"{tls_registry.host}/app", *trust)


@pytest.mark.parametrize(
    "days, message",
    [
        case(
            "B63",
            "expired",
            (-20, -10),
            "the server's certificate has expired; check this machine's clock; "
            "otherwise the server needs a new certificate",
        ),
        case(
            "B72",
            "the clock is at 1970",
            (10, 20),
            "the server's certificate is not valid yet; check this machine's clock",
        ),
    ],
)
def test_a_certificate_of_another_time(refused, certificates, tmp_path, days, message):
    begin, end = (
        (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(day)).strftime("%Y%m%d%H%M%SZ")
        for day in days
    )
    directory = tmp_path / "tls"
    directory.mkdir()
    for name in ("ca.crt", "ca.key", "server.key", "server.csr", "extensions"):
        (directory / name).write_bytes((certificates / name).read_bytes())
    (directory / "ca.conf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\n"
        "[p]\ncommonName=supplied\n"
    )
    (directory / "index").write_text("")
    (directory / "serial").write_text("77\n")
    command = (
        "openssl ca -batch -config ca.conf -cert ca.crt -keyfile ca.key -in server.csr -out server.crt"
        f" -extfile extensions -startdate {begin} -enddate {end}"
    )
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    with Registry(tls=server_context(directory)) as registry:
        line = refused("copy", "oci:base", f"{registry.host}/app", "--ca-file", directory / "ca.crt")
        assert line == f"GET https://{registry.host}/v2/: {message}"
        assert registry.requests == []


@row("B63")
def test_http_to_an_https_port_and_https_to_an_http_port(refused, registry, manual):
    where = f"reg.example:{port_of(registry)}"
    message = (
        "the server does not speak TLS; "
        "pass `--insecure-registry HOST` (in Pants: `insecure` of the registry) to allow plain HTTP"
    )
    assert refused("copy", "oci:base", f"{where}/app") == f"GET https://{where}/v2/: {message}"
    assert manual.sleeps == [] and registry.requests == []


@row("B63")
def test_a_failed_handshake_is_not_followed_by_plain_http(refused, monkeypatch):
    """A proxy that interrupts the handshake gets no plain request, even if plain HTTP is allowed."""
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    received.append(connection.recv(5))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        where = f"reg.example:{server.getsockname()[1]}"
        line = refused("copy", "oci:base", f"{where}/app", "--insecure")
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert line.startswith(f"GET https://{where}/v2/: ")
    # The first byte of a TLS handshake record is 22.
    assert received and {first[:1] for first in received} == {b"\x16"}


@pytest.mark.parametrize(
    "content, why",
    [
        case("B64", "absent", None, "No such file or directory"),
        case("B64", "no PEM", b"hello", "the file contains no PEM certificate"),
        case("B64", "binary", b"\x30\x82\xff\0", "the file contains no PEM certificate"),
        case("B64", "empty", b"", "the file contains no PEM certificate"),
    ],
)
def test_invalid_ca_files_are_errors(refused, tls_registry, tmp_path, monkeypatch, content, why):
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    where = f"{tls_registry.host}/app"
    tls_registry.reset_requests()
    message = f"ca.pem: {why}; name a PEM file"
    assert refused("copy", "oci:base", where, "--ca-file", "ca.pem") == f"cannot use the CA file {message}"
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        with monkeypatch.context() as patched:
            patched.setenv(variable, "ca.pem")
            assert refused("copy", "oci:base", where) == f"cannot use {variable} {message}"
    assert tls_registry.requests == []


@row("B64")
def test_a_ca_directory_without_certificates(refused, tls_registry, tmp_path):
    (tmp_path / "cas").mkdir()
    message = "the server's certificate is not signed by a trusted CA; pass the CA's certificate with --ca-file"
    line = refused("copy", "oci:base", f"{tls_registry.host}/app", "--ca-file", "cas")
    assert line == f"GET https://{tls_registry.host}/v2/: {message}"


@pytest.fixture
def proxy():
    """A proxy that requires a password."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self):
            self.send_response(407)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "value",
    [
        case("B65", value, value)
        for value in ("http://", "http://proxy.example:99999", "http://a b:1", "ftp://proxy", "http://proxy:0")
    ],
)
def test_invalid_proxy_values(refused, monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    message = "the proxy that HTTPS_PROXY names cannot be used; write http://host:port (its value is not shown)"
    assert refused("copy", "oci:base", "reg.example/app") == message


@row("B65")
def test_proxies_that_fail(refused, monkeypatch, manual, proxy, port):
    # requests imports PySocks when requests is imported.
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", Mock(side_effect=InvalidSchema))
    url = "GET https://reg.example/v2/"
    check = "cannot be reached, or refused the connection; check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    for value, message in (
        (
            f"http://ann:S3CR3T@proxy.example:{port}",
            f"the proxy http://proxy.example:{port} {check}",
        ),
        (f"proxy.example:{port}", f"the proxy http://proxy.example:{port} {check}"),
        ("http://nobody.example:3128", f"the proxy http://nobody.example:3128 {check}"),
        (
            f"http://ann:S3CR3T@proxy.example:{proxy}",
            f"the proxy http://proxy.example:{proxy} requires a user name and password; check those in HTTPS_PROXY",
        ),
        (
            f"socks5://proxy.example:{port}",
            f"the proxy socks5://proxy.example:{port} needs PySocks; install PySocks, or use an HTTP proxy",
        ),
    ):
        monkeypatch.setenv("HTTPS_PROXY", value)
        assert refused("copy", "oci:base", "reg.example/app") == f"{url}: {message}"
    assert sum(manual.sleeps) < 15


@row("B65")
def test_no_proxy_is_obeyed(refused, tls_registry, monkeypatch, port):
    where = f"reg.example:{port_of(tls_registry)}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://proxy.example:{port}")
    assert "proxy.example" in refused("copy", "oci:base", f"{where}/app")
    for value in ("reg.example", ".example", "*", f"reg.example:{port_of(tls_registry)}", "a.b, EXAMPLE"):
        monkeypatch.setenv("NO_PROXY", value)
        assert "not signed by a trusted CA" in refused("copy", "oci:base", f"{where}/app")
    for value in ("eg.example", "reg.example:1", "garbage,,", "10.0.0.0/8"):
        monkeypatch.setenv("NO_PROXY", value)
        assert "proxy.example" in refused("copy", "oci:base", f"{where}/app")


@pytest.mark.parametrize(
    "fault, why",
    [
        case(
            "B66",
            "page",
            {"status": 200, "body": "<html>hi", "headers": {"Content-Type": "text/html; charset=utf-8"}},
            "the response is a web page",
        ),
        case("B66", "page of no type", {"status": 200, "body": " <!DOCTYPE html>"}, "the response is a web page"),
        case("B66", "no such page", {"status": 404, "body": "nope"}, "GET URL/v2/: 404: nope"),
        case("B66", "forbidden", {"status": 403, "body": ""}, "GET URL/v2/: 403: "),
    ],
)
def test_servers_that_are_not_registries(refused, registry, fault, why):
    registry.faults = [Fault(on="ping get", **fault)]
    why = why.replace("URL", registry.url)
    message = f"{registry.host} does not speak the registry API: {why}; check the name and the port"
    assert refused("copy", "oci:base", f"{registry.host}/app") == message
    assert refused("tags", f"{registry.host}/app") == message


@pytest.mark.parametrize(
    "body, shown",
    [
        case("B67", "list", b'["x"]', '["x"]'),
        case("B67", "string", b'"x"', '"x"'),
        case("B67", "null", b"null", "null"),
        case("B67", "errors of null", b'{"errors": [null]}', '{"errors": [null]}'),
        case("B67", "errors of text", b'{"errors": "x"}', '{"errors": "x"}'),
        case("B67", "odd errors", b'{"errors":[{"code":7,"message":["a"],"detail":{}}]}', "7 ['a']"),
        case(
            "B67", "right", b'{"errors":[{"code":"X","message":"because","detail":"of this"}]}', "X because (of this)"
        ),
        case("B67", "no UTF-8", b"\xff\xfe", "\ufffd\ufffd"),
        case("B67", "page", b"<html>\n<b>no</b>\r\n</html>", "the response is a web page (HTML): 'no'"),
        case("B67", "empty", b"", None),
        case("B67", "escapes", b"\x1b]0;owned\x07 \x1b[31mred", r"\x1b]0;owned\x07 \x1b[31mred"),
        case("B67", "escapes in JSON", rb'{"errors":[{"code":"X","message":"\u001b[2J"}]}', r"X \x1b[2J"),
        case("B67", "long", b"z" * 5000, "z" * 200 + "..."),
        case("B67", "deep", b'{"errors":' * 50_000, ('{"errors":' * 20) + "..."),
        case("B67", "2 MB", b"y" * 2_000_000, "y" * 200 + "..."),
    ],
)
def test_the_message_of_an_error_response_is_shown(refused, registry, body, shown):
    registry.faults = [Fault(on="upload post", status=400, body=body)]
    line = refused("copy", "oci:base", f"{registry.host}/b67", writes=True)
    message = f": {shown}" if shown is not None else ""
    url = f"{registry.url}/v2/b67/blobs/uploads/"
    assert line == f"POST {url}: 400{message}; the registry rejected the request"


@row("B61")
def test_a_repository_that_must_be_created_first(refused, image):
    with Registry(profile="ecr", repositories=["there"]) as registry:
        line = refused("copy", "oci:base", f"{registry.host}/other")
        assert line == (
            f"POST {registry.url}/v2/other/blobs/uploads/: 404: NAME_UNKNOWN The repository with name 'other' does not "
            "exist; check the repository name; some registries (ECR, GAR) require that the repository is created first"
        )
        assert registry.repositories() == ["there"]
        assert not any(request.received for request in registry.requests)


@row("B62")
def test_an_immutable_tag(refused, works):
    with Registry(profile="ecr-immutable", repositories=["app"]) as registry:
        where = f"{registry.host}/app:1"
        digest = works("copy", "oci:base", where)["digest"]
        # The tag already has this digest.
        assert works("copy", "oci:base", where)["digest"] == digest
        line = refused("build", where, "--label", "a=b", "--allow-empty")
        assert line == (
            f"the tag 1 of {registry.host}/app was refused: PUT {registry.url}/v2/app/manifests/1: 400: TAG_INVALID "
            "The image tag '1' already exists and cannot be overwritten; "
            "an existing tag cannot be moved; push another tag"
        )
        assert registry.tags("app") == {"1": digest}


@pytest.mark.parametrize(
    "status, code, message",
    [
        case("B62", "ECR", 400, "TAG_INVALID", "the tag cannot be overwritten"),
        case("B62", "GAR", 400, "DENIED", "The repository has enabled tag immutability"),
        case("B62", "Harbor", 412, "PRECONDITION", "configured as immutable"),
        case("B62", "Nexus", 409, "DENIED", "this tag is immutable"),
    ],
)
def test_immutable_tag_errors_of_several_registries(refused, registry, status, code, message):
    body = f'{{"errors": [{{"code": "{code}", "message": "{message}"}}]}}'
    registry.faults = [Fault(on="manifest put", reference="1", status=status, body=body)]
    line = refused("copy", "oci:base", f"{registry.host}/b62:1", writes=True)
    assert line.startswith(f"the tag 1 of {registry.host}/b62 was refused: PUT ")
    assert line.endswith(f": {status}: {code} {message}; an existing tag cannot be moved; push another tag")


@pytest.mark.parametrize("now", [case("B72", "1970", 1.0), case("B72", "2100", 4102444800.0)])
def test_the_clock_has_no_effect_on_the_digest(works, registry, monkeypatch, now):
    digest = works("build", f"{registry.host}/b72:1", "--label", "a=b", "--allow-empty")["digest"]
    monkeypatch.setattr(time, "time", lambda: now)
    assert works("build", f"{registry.host}/b72:2", "--label", "a=b", "--allow-empty")["digest"] == digest


@row("B64")
def test_a_bundle_with_comments_in_any_encoding(works, tls_registry, certificates, tmp_path):
    authority = (certificates / "ca.crt").read_bytes()
    (tmp_path / "bundle.pem").write_bytes(b"# T\xfcrk \xc3\x9c\n" + authority)
    works("copy", "oci:base", f"{tls_registry.host}/bundle", "--ca-file", "bundle.pem")
