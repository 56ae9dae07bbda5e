"""Where people must log in, nobody sees a page before, and only some may delete."""

import pytest
import streamlit as st

from compression.baselines import baseline
from compression.errors import InvalidInput
from compression.pipeline import run
from compression.recipe import parse_step
from compression.settings import ROOT, settings
from pages.parts import cached, people

PAGES = sorted(p.stem for p in (ROOT / "pages").glob("*.py"))


@pytest.fixture
def login(monkeypatch):
    """login(**claims): somebody who is logged in, with what the provider says of them."""
    monkeypatch.setenv("COMPRESSION_LOGIN", "1")
    monkeypatch.setenv("COMPRESSION_ADMINS", "Anna@lab.example, ben@lab.example")
    settings.cache_clear()

    def enter(**claims):
        monkeypatch.setattr(st, "user", {"is_logged_in": True, **claims})

    return enter


@pytest.mark.parametrize("page", PAGES)
def test_who_is_not_logged_in_sees_a_button_and_nothing_else(open_page, login, page):
    at = open_page(page)
    assert [b.key for b in at.button] == ["login"]
    assert [t.value for t in at.title] == ["Compression Lab"]
    assert not at.radio and not at.selectbox and not at.metric and not at.get("plotly_chart")


def test_who_is_logged_in_sees_the_page_and_can_leave(open_page, login):
    login(name="Anna", email="anna@lab.example")
    at = open_page()
    assert at.radio(key="network").value and "Anna" in at.button(key="logout").help


@pytest.mark.parametrize(
    "claims, allowed",
    [
        ({"email": "anna@lab.example"}, True),
        ({"email": "ANNA@lab.example", "email_verified": True}, True),
        ({"email": "anna@lab.example", "email_verified": False}, False),
        ({"email": "carl@lab.example"}, False),
        ({}, False),
    ],
)
def test_only_named_and_verified_people_may_delete(login, claims, allowed):
    login(**claims)
    assert people.may_delete() is allowed


def test_a_run_is_not_deleted_for_who_may_not(open_page, login):
    login(email="carl@lab.example")
    open_page()
    store = cached.engine().store
    recipe = baseline("lenet_300_100", "digits").then(parse_step("magnitude_pruning"))
    run(recipe, store)
    with pytest.raises(InvalidInput, match="only those whom COMPRESSION_ADMINS names"):
        cached.delete(recipe.digest, "digits")
    assert store.get(recipe.digest)
    login(email="anna@lab.example")
    cached.delete(recipe.digest, "digits")
    assert store.get(recipe.digest) is None


def test_where_nobody_logs_in_everybody_may():
    assert people.may_delete() and people.trouble() == ""
