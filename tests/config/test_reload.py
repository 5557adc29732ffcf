"""What differs between settings, and what of it can be obeyed at once."""

from hypothesis import given
from hypothesis import strategies as st

from amqpd.config import SETTINGS, Settings, Sources, load
from amqpd.config.reload import Changes, changes, mixed

# A value other than the default for a few settings of both sorts.
OTHERS = {
    "data_dir": "/elsewhere",
    "default_pass": "hunter2",
    "log.format": "json",
    "log.level": "debug",
    "heartbeat": 5,
    "loopback_users": [],
    "ssl_options.password": "hunter2",
}
CHOICES = st.dictionaries(st.sampled_from(sorted(OTHERS)), st.just(None)).map(
    lambda names: {name: OTHERS[name] for name in names}
)


def test_nothing():
    assert changes(Settings(), Settings()) == Changes([], [])


def test_both_sorts_in_the_tables_order():
    found = changes(Settings(), Settings(OTHERS))
    assert found == Changes(
        ["log.level", "loopback_users", "ssl_options.password", "heartbeat"], ["data_dir", "log.format", "default_pass"]
    )


def test_another_place_is_no_change():
    now = load(Sources(assignments=["heartbeat=5"]))
    assert changes(now, load(Sources(environment={"AMQPD_HEARTBEAT": "5s"}))) == Changes([], [])


def test_what_is_in_force_afterwards(tmp_path):
    file = tmp_path / "new.toml"
    file.write_text('heartbeat = 5\ndata_dir = "/elsewhere"\n')
    old, new = load(Sources(environment={"AMQPD_DATA_DIR": "/here", "AMQPD_HEARTBEET": "1"})), load(Sources(file))
    settings = mixed(old, new)
    assert settings.number("heartbeat") == 5
    assert settings.place("heartbeat") == f"{file}, line 1"
    assert settings.text("data_dir") == "/here"
    assert settings.place("data_dir") == "environment variable AMQPD_DATA_DIR"
    assert (settings.files, settings.warnings) == ((file,), ())


@given(CHOICES, CHOICES)
def test_afterwards_only_what_needs_a_restart_differs(old, new):
    now, new = Settings(old), Settings(new)
    found = changes(now, new)
    assert changes(mixed(now, new), new) == Changes([], found.after_restart)
    assert changes(mixed(now, now), now) == Changes([], [])
    assert all(SETTINGS[name].reloadable for name in found.at_once)
    assert not any(SETTINGS[name].reloadable for name in found.after_restart)


@given(CHOICES, CHOICES)
def test_all_who_hold_settings_see_what_they_adopt(old, new):
    now, new = Settings(old, dict.fromkeys(old, "before")), Settings(new, dict.fromkeys(new, "after"))
    now.adopt(new)
    assert changes(now, new) == Changes([], [])
    assert {name: now.place(name) for name in SETTINGS} == {name: new.place(name) for name in SETTINGS}
