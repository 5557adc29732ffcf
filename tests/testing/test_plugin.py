"""The pytest plugin: here as a user of it, and in a pytest run of its own."""

import subprocess
import sys

import pika

PROGRAM = '''
import pika, pytest

seen = []

def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))

def test_one(amqpd_vhost):
    with connect(amqpd_vhost.url) as connection:
        connection.channel().queue_declare("q", durable=True)
    seen.append((amqpd_vhost.name, amqpd_vhost.broker.port))

def test_two(amqpd_vhost, amqpd_broker):
    with connect(amqpd_vhost.url) as connection:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            connection.channel().queue_declare("q", passive=True)
    seen.append((amqpd_vhost.name, amqpd_broker.port))

def test_vhosts_differ_and_the_broker_does_not():
    assert len({name for name, port in seen}) == 2
    assert len({port for name, port in seen}) == 1
'''
WITHOUT = '''
import sys

def test_nothing():
    assert "amqpd.testing.plugin" in sys.modules
    assert "trio" not in sys.modules
'''


def run(tmp_path, text):
    (tmp_path / "test_program.py").write_text(text)
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:trio"]
    return subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=tmp_path)


def test_its_fixtures_need_no_import(tmp_path):
    done = run(tmp_path, PROGRAM)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_project_that_does_not_use_it_does_not_pay_for_it(tmp_path):
    done = run(tmp_path, WITHOUT)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_here_too(amqpd_vhost):
    with pika.BlockingConnection(pika.URLParameters(amqpd_vhost.url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("").method.queue
        channel.basic_publish("", queue, b"1")
        assert channel.basic_get(queue, auto_ack=True)[2] == b"1"
