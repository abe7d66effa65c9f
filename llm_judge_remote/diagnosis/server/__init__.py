"""Whether judge servers do what training needs of them: looked at one by one, and as the one judge that they are.

::

    from llm_judge_remote import JudgeSettings
    from llm_judge_remote.diagnosis.server import Load, ServerCheck

    report = ServerCheck(JudgeSettings(server_url="http://HOST:8000"), Load(most=64, seconds=10)).run()
    [finding for section in report.sections for finding in section.findings if finding.level == "error"]

From a shell: `llm-judge-remote check --help`.
"""

from llm_judge_remote.diagnosis.server.check import ServerCheck
from llm_judge_remote.diagnosis.server.load import Load, LoadLevel, knee
from llm_judge_remote.diagnosis.server.report import Report, Section

__all__ = ["Load", "LoadLevel", "Report", "Section", "ServerCheck", "knee"]
