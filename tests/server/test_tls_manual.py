"""docs/tls.md is true: its commands make certificates that its configurations take, and it quotes the log as it is."""

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from secure import MemoryClient, shake_hands

from amqpd.config import Settings, Sources, load
from amqpd.server import arrival, contexts, tls
from amqpd.server.contexts import TlsContexts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tls.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
FILES = [text for kind, text in BLOCKS if kind == "toml" and text.startswith("# amqpd.toml")]
MAKING = [text for kind, text in BLOCKS if kind == "sh" and ("openssl req" in text or "openssl x509" in text)]
CODE = "".join(Path(module.__file__).read_text() for module in (arrival, contexts, tls))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory in which all certificates of the page were made."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    directory = tmp_path_factory.mktemp("manual")
    for commands in MAKING:
        subprocess.run(["sh", "-e", "-c", commands], cwd=directory, check=True, capture_output=True)
    return directory


def rules(directory, text):
    path = directory / "amqpd.toml"
    path.write_text(text)
    settings: Settings = load(Sources(file=path))
    return TlsContexts(settings)


@pytest.mark.parametrize("text", FILES)
def test_the_files_of_the_page_work_with_its_certificates(made, monkeypatch, text):
    monkeypatch.chdir(made)
    server = rules(made, text).open()
    context = ssl.create_default_context(cafile="ca.pem")
    context.load_cert_chain("client.pem", "client-key.pem")
    client = MemoryClient(context, "broker.example")
    shake_hands(client, server)
    assert (server.certificate is not None) == ("verify_peer" in text)


def test_the_page_has_commands_and_files():
    assert len(MAKING) == 3
    assert len(FILES) == 4


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "python"])
def test_the_programs_of_the_page_are_python(text):
    compile(text, "docs/tls.md", "exec")


def quoted():
    """What the tables quote from the node: pieces of text between the places where something varies."""
    for line in PAGE.read_text().partition("## When it does not work")[2].splitlines():
        cell = re.match(r"\| `([^`]+)`", line)
        if cell is not None:
            yield from (part.strip(" .:") for part in re.split(r"\.\.\.|: |; ", cell[1]) if part.strip(" .:"))


NOT_OURS = {  # OpenSSL's and the system's words, another module's, and what a client sees
    "tlsv1 alert unknown ca",
    "certificate unknown",
    "unable to get local issuer certificate",
    "certificate has expired",
    "unsuitable certificate purpose",
    "Permission denied",
    "unknown protocol header 16 03 01",
    "unknown protocol header 50 52 4f 58 59 20 54 43",
    "ACCESS_REFUSED",
}


@pytest.mark.parametrize("text", sorted(set(quoted()) - NOT_OURS))
def test_the_lines_of_the_page_are_the_codes(text):
    pattern = re.sub(r"PROXY header|TLS handshake(?= within)", "%s", text)
    assert text in CODE or pattern in CODE
