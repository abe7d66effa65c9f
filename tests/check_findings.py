"""What a check of servers finds, in the forms in which tests look at it."""

from llm_judge_remote import JudgeSettings
from llm_judge_remote.diagnosis.server import ServerCheck

__all__ = ["findings", "levels", "looked", "wrong"]


def looked(*servers, load=None, **settings):
    """The report on servers, or on URLs."""
    urls = [server if isinstance(server, str) else server.url for server in servers]
    return ServerCheck(JudgeSettings(server_url=urls, **settings), load).run()


def findings(*servers, load=None, **settings):
    """Those of the one server, by name."""
    (section,) = looked(*servers, load=load, **settings).sections
    return {finding.name: finding for finding in section.findings}


def levels(found):
    """The level of each."""
    return {name: finding.level for name, finding in found.items()}


def wrong(found):
    """The level of those that are not well."""
    return {name: finding.level for name, finding in found.items() if finding.level in ("warning", "error")}
