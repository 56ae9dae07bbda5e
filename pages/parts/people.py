"""Who is there, where people log in: by OpenID Connect, which Streamlit speaks."""

from __future__ import annotations

from importlib.util import find_spec

import streamlit as st

from compression.language import tr
from compression.settings import settings

NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")


def trouble() -> str:
    """Why nobody could log in though the setting asks for it; empty if all is there."""
    if not settings().login:
        return ""
    if find_spec("authlib") is None:
        return "COMPRESSION_LOGIN needs the package Authlib: install requirements-server.txt"
    found = dict(st.secrets.get("auth", {})) if st.secrets.load_if_toml_exists() else {}
    missing = [name for name in NEEDED if not found.get(name)]
    if missing:
        return f"COMPRESSION_LOGIN needs {', '.join(missing)} in [auth] of .streamlit/secrets.toml"
    return ""


def admit() -> None:
    """Stop the page with a button to log in, where that is asked for and has not happened."""
    if not settings().login or st.user.get("is_logged_in"):
        return
    st.title("Compression Lab", anchor=False)
    st.markdown(tr("This lab is for people who log in."))
    st.button(tr("Log in"), icon=":material/login:", on_click=st.login, key="login")
    st.stop()


def leave() -> None:
    """Who is logged in, and the button to log out; nothing where nobody logs in."""
    if settings().login:
        name = str(st.user.get("name") or st.user.get("email") or tr("this person"))
        st.button(
            tr("Log out"),
            type="tertiary",
            on_click=st.logout,
            key="logout",
            help=tr("You are {name}.", name=name),
        )


def may_delete() -> bool:
    """Whether this person may delete runs: everybody may where nobody logs in, otherwise those
    whom the settings name, by an address that the provider has not called unverified.
    """
    known = settings()
    if not known.login:
        return True
    verified = st.user.get("email_verified", True) in (True, "true")
    return verified and str(st.user.get("email", "")).lower() in known.administrators
